import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { allocQuantizedKv, hadamardSigns, type KvBits, kvBits, kvCodec, quantizeKv } from "@rlxjs/ir";
import { describe, expect, test } from "vitest";
import { gaussians } from "./xoshiro.ts";

/** Hashes and first bytes by an independent implementation in numpy. */
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

  interface Golden {
    readonly headDim: number;
    readonly numKvHeads: number;
    readonly input: string;
    readonly packed: Readonly<Record<KvBits, string>>;
    readonly norms: readonly number[];
  }
  const goldens: ReadonlyMap<number, Golden> = new Map<number, Golden>([
    [
      1234,
      {
        headDim: 256,
        numKvHeads: 2,
        input: "7ce06c05dfbdf9da6bee38ce85452edbd16f8a4f34e5da52e33b5a2bd1bbdcc7",
        packed: {
          4: "206bb3ba9240197dda213ef6e95bc8392341c688a410764bf9df820d2b939a86",
          5: "ae3bbc1d4293f1966e7e82f999dec6a4bb43d6fa2f27f12d7144f64c1b776542",
          6: "525b73f2fd87027a97e08de56c24e034ec4234108e89382f99102525f2ce42f4",
          8: "3eaefabfa9a5331fe728fd93294fda41587619063e14ba3235dcef57bda078e1",
        },
        norms: [15.386644, 13.596864],
      },
    ],
    [
      5678,
      {
        headDim: 512,
        numKvHeads: 8,
        input: "1c272b134a6a53a7b2b5b62650582b34d7854d2ed7849cb484d29870ecc77835",
        packed: {
          4: "0bb79d1b7873de953c685726de95863e67b03d9a6c224b0c1d28a02603fa437e",
          5: "b087b9b7320a18b3ad123454682f403e1cbc46f5ae198a2dac262f127f5fd46e",
          6: "cfe40e67dbedb471191fed728aa960c0385a1015e00754cea569785b7add92b9",
          8: "7d2b9e896a302464aa954eaa8cc8a672e6ddb0ce1174521d6f4dcae8212b3925",
        },
        norms: [
          0.987983, 0.95284, 1.048517, 0.978456, 1.031697, 0.978968, 0.987414, 1.041659, 1.017795, 1.009072, 1.028058, 0.973616, 0.909938,
          1.007223, 0.95572, 0.997863,
        ],
      },
    ],
  ]);

  describe.each([...goldens])("seed %i", (seed, golden) => {
    const { headDim, numKvHeads } = golden;
    const x = gaussians(seed, numKvHeads * headDim);

    test("input", () => expect(hash(x)).toBe(golden.input));

    test.each(kvBits)("%i bits", (bits) => {
      const codec = kvCodec("mlx-native-v1", bits, headDim);
      const cache = allocQuantizedKv(codec, { numKvHeads, capacity: 1 });
      quantizeKv(cache, x, { pos: 0 });
      expect(hash(cache.packed)).toBe(golden.packed[bits]);
      expect(cache.norms.length).toBe(golden.norms.length);
      for (const [i, norm] of golden.norms.entries()) expect(Math.abs((cache.norms[i] ?? 0) / norm - 1)).toBeLessThan(1e-6);
    });
  });
});
