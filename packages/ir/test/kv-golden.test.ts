import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { hadamardSigns, kvCodec } from "@rlxjs/ir";
import { describe, expect, test } from "vitest";

/** Hashes by an independent implementation in numpy. */
const hash = (data: Uint8Array | Float32Array): string => bytesToHex(sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));

describe("mlx-native-v1 is byte-exact", () => {
  test.each([
    [
      4,
      "87562063faf1e76970eca1f8c2718e847931de066b300dbf7f0a5eeba0912be1",
      "353bccb47eff2d4d15fc3b416ac3b192e5135fe859b0d95c3d13de7d0897d6db",
    ],
    [
      5,
      "7480a54bdf3b8084d8aa3f31e0d0b4a4a2e57a97aa25d72445fb29216c6d70cc",
      "7949f0dcd96caa38fff9c0cc30f6a6cfc2534616bbe28df4d12ca978faa31d7d",
    ],
    [
      6,
      "98ba30b44dd4cfd868a95f16129f122644b8125a30b6588a346b46f585bdd346",
      "713de2f8f77ed28bd5c7da31cd25cf345dbf0231a008c0740b321864164dc7ea",
    ],
    [
      8,
      "00d4d0f2551e2557cacaf3d920fb556a85270b11e0222cba4b2877e5b832249d",
      "b0f3329c7f30bad7c7165b8e9a1ef3881b5fbccc878ea3fb22e320340ac4d982",
    ],
  ] as const)("%i-bit tables", (bits, centroids, boundaries) => {
    const codec = kvCodec("mlx-native-v1", bits, 256);
    expect(hash(codec.centroids)).toBe(centroids);
    expect(hash(codec.boundaries)).toBe(boundaries);
  });

  test("sign diagonals", () => {
    expect(hash(hadamardSigns(256))).toBe("3ef1038e6c232e9519101daa2d6efd637d4c6bfdb29f4ee7101625c39d0ddc89");
    expect(hash(hadamardSigns(512))).toBe("44f13ce9f6db1edac62f558ee054f9de29cd474fd051362cadcaa98a55745f17");
  });
});
