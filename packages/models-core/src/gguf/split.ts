import { ModelFileError } from "../errors.ts";
import type { ByteSource, Directory } from "../source.ts";
import { GgufCheckpoint, type GgufHeader, readGgufHeader } from "./reader.ts";

const splitName = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/** Open a GGUF file of a directory, together with its other parts when it is one of `name-00001-of-0000N.gguf`. */
export async function openGgufIn(directory: Directory, file: string): Promise<GgufCheckpoint> {
  const sources: ByteSource[] = [];
  const headers: GgufHeader[] = [];
  try {
    for (const name of partNames(file)) {
      const source = await directory.open(name);
      if (!source) throw new ModelFileError({ file: directory.name, expected: `the file ${name}`, given: "no such file" });
      sources.push(source);
      headers.push(await readGgufHeader(source));
    }
    const [first] = headers;
    if (!first) throw new ModelFileError({ file, expected: "at least one part", given: "00000" });
    headers.forEach((h, i) => {
      checkPart(h, i, headers.length);
    });
    const tensors = headers.flatMap((h) => h.tensors);
    const total = first.metadata.number("split.tensors.count") ?? tensors.length;
    if (total !== tensors.length)
      throw new ModelFileError({ file, tensor: "split.tensors.count", expected: `${total} tensors`, given: `${tensors.length}` });
    return new GgufCheckpoint(first, sources, tensors);
  } catch (error) {
    for (const s of sources) s[Symbol.dispose]();
    throw error;
  }
}

function partNames(file: string): string[] {
  const match = splitName.exec(file);
  if (!match) return [file];
  const [, stem = "", , count = ""] = match;
  return Array.from({ length: Number(count) }, (_, i) => `${stem}-${String(i + 1).padStart(5, "0")}-of-${count}.gguf`);
}

function checkPart({ metadata }: GgufHeader, i: number, count: number): void {
  const expectedCount = metadata.number("split.count") ?? 1;
  const no = metadata.number("split.no") ?? 0;
  if (expectedCount !== count || no !== i)
    throw new ModelFileError({
      file: metadata.file,
      tensor: "split.no, split.count",
      expected: `part ${i} of ${count}, as the file's name says`,
      given: `part ${no} of ${expectedCount}`,
    });
}
