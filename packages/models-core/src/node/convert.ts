import { basename, resolve } from "node:path";
import { type ConvertReport, type ConvertType, convertToGguf } from "../convert.ts";
import { type MapFile, openDirectory, writeFileAtomically } from "./files.ts";

export interface ConvertFileOptions {
  readonly type: ConvertType;
  /** `general.name`; default: the directory's name. */
  readonly name?: string;
  readonly mapFile?: MapFile;
  /** Stops the conversion; nothing is left behind. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (written: number, total: number) => void;
}

/** Convert a Hugging Face model directory to a GGUF file. `out` is not touched unless all of it could be written. */
export async function convertDirectory(
  directory: string,
  out: string,
  { type, name = basename(resolve(directory)), mapFile, signal, onProgress }: ConvertFileOptions,
): Promise<ConvertReport> {
  const from = await openDirectory(directory, mapFile);
  return writeFileAtomically(out, (sink) => convertToGguf(from, sink, { type, name, ...(onProgress ? { onProgress } : {}) }), signal);
}
