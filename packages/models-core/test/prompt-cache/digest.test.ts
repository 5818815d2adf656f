import { sha256 } from "@noble/hashes/sha2.js";
import { expect, test } from "vitest";
import { BlockDigest, blockBytes } from "../../src/prompt-cache/digest.ts";

const bytes = Uint8Array.from({ length: 2 * blockBytes + 77 }, (_, i) => (i * 2654435761) >>> 24);
const expected = sha256(
  new Uint8Array([0, 1, 2].flatMap((i) => [...sha256(bytes.subarray(i * blockBytes, Math.min((i + 1) * blockBytes, bytes.length)))])),
);

test.each([[bytes.length], [blockBytes], [1000, blockBytes], [blockBytes - 1, 1, 1], [blockBytes + 1, blockBytes - 2, 3]])(
  "pieces of %i bytes, ...: the digest of the digests of the blocks of all",
  async (...sizes) => {
    const digest = new BlockDigest();
    let at = 0;
    for (const size of [...sizes, bytes.length]) {
      await digest.update(bytes.subarray(at, at + size));
      at = Math.min(at + size, bytes.length);
    }
    expect(await digest.end()).toEqual(expected);
  },
);
