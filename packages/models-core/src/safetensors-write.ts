import type { Tensor } from "@rlxjs/ir";
import { ModelFileError } from "./errors.ts";
import { safetensorsTypes } from "./safetensors.ts";
import type { ByteSink } from "./source.ts";

/** Write tensors as one safetensors file, in the order given; data starts at a multiple of 8 bytes. */
export async function writeSafetensors(
  sink: ByteSink,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let at = 0;
  for (const [name, t] of tensors) {
    const dtype = safetensorsTypes.get(t.dtype);
    if (dtype === undefined || name === "__metadata__")
      throw new ModelFileError({
        file: "safetensors",
        tensor: name,
        expected: `a tensor of ${[...safetensorsTypes.keys()].join(" ")}`,
        given: dtype === undefined ? t.dtype : "a reserved name",
      });
    entries.push([name, { dtype, shape: t.shape, data_offsets: [at, at + t.bytes.byteLength] }]);
    at += t.bytes.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  await sink.write(header);
  for (const t of tensors.values()) await sink.write(t.bytes);
}
