import { sha256 } from "@noble/hashes/sha2.js";

/** Bytes of a block: what is hashed, and copied for it, at once. */
export const blockBytes: number = 2 ** 20;

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * SHA-256 of the SHA-256 digests of a text's blocks of 1 MiB, the last of which may be shorter. The platform hashes blocks in a thread of its own: an
 * order of magnitude faster than JavaScript does, and other tasks have their turn meanwhile.
 */
export class BlockDigest {
  readonly #sums = sha256.create();
  readonly #block: Bytes = new Uint8Array(blockBytes);
  #filled = 0;

  async update(bytes: Bytes, signal?: AbortSignal): Promise<void> {
    for (let at = 0; at < bytes.byteLength; ) {
      signal?.throwIfAborted();
      const left = bytes.byteLength - at;
      if (this.#filled === 0 && left >= blockBytes) {
        await this.#add(bytes.subarray(at, at + blockBytes));
        at += blockBytes;
        continue;
      }
      const count = Math.min(left, blockBytes - this.#filled);
      this.#block.set(bytes.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === blockBytes) await this.#flush();
    }
  }

  /** 32 bytes. The digest is used up. */
  async end(): Promise<Bytes> {
    if (this.#filled > 0) await this.#flush();
    return new Uint8Array(this.#sums.digest());
  }

  async #flush(): Promise<void> {
    await this.#add(this.#block.subarray(0, this.#filled));
    this.#filled = 0;
  }

  async #add(block: Bytes): Promise<void> {
    this.#sums.update(new Uint8Array(await crypto.subtle.digest("SHA-256", block)));
  }
}
