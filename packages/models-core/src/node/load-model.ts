import { basename, dirname, resolve } from "node:path";
import { stat } from "node:fs/promises";
import type { Tensor } from "@rlxjs/ir";
import { type BackendOptions, type Device, type ProgramCache, Session, WeightStore } from "@rlxjs/runtime";
import type { Checkpoint } from "../checkpoint.ts";
import { readGgufConfig } from "../config/gguf-config.ts";
import { readHfConfig } from "../config/hf-config.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { ModelFileError } from "../errors.ts";
import { openGgufIn } from "../gguf/index.ts";
import { readJsonFile } from "../json.ts";
import { LanguageModel, type ModelOptions } from "../model/language-model.ts";
import { canonicalCheckpoint } from "../names.ts";
import { openSafetensorsDirectory } from "../safetensors.ts";
import { type Tokenizer, tokenizerFromDirectory, tokenizerFromGguf } from "../tokenizer/index.ts";
import { type MapFile, openDirectory } from "./files.ts";
import { directoryProgramCache } from "./program-cache.ts";

export interface LoadProgress {
  readonly phase: "open" | "read" | "compile";
  /** Steps of this phase that are done, and all of them. */
  readonly done: number;
  readonly total: number;
}

export interface LoadOptions extends ModelOptions, BackendOptions {
  /** Default `cpu`. */
  readonly device?: Device;
  /** Compiled graphs of earlier processes: a cache, or the path of a directory for one. Default: none. */
  readonly programCache?: ProgramCache | string;
  /** Hears of entries of the program cache that could not be used, and of its failures; graphs are compiled then. */
  readonly onProgramCacheProblem?: (error: unknown) => void;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: LoadProgress) => void;
}

/** A model's files, opened but not yet on a device. */
export interface OpenedModel extends Disposable {
  readonly config: ModelConfig;
  /** Tensors under the Hugging Face names of their family. */
  readonly checkpoint: Checkpoint;
  readonly tokenizer: Tokenizer | undefined;
}

/** Open a GGUF file or a Hugging Face model directory. `mapFile`: how to map files; absent or undefined: they are read. */
export async function openModel(path: string, mapFile?: MapFile): Promise<OpenedModel> {
  const info = await stat(path).catch(() => undefined);
  if (!info) throw new ModelFileError({ file: path, expected: "a GGUF file or a model directory", given: "nothing there" });
  const isDirectory = info.isDirectory();
  const directory = await openDirectory(isDirectory ? path : dirname(resolve(path)), mapFile);
  if (isDirectory) {
    const json = await readJsonFile(directory, "config.json");
    if (!json) throw new ModelFileError({ file: path, expected: "a model directory with a config.json", given: "a directory without one" });
    const config = readHfConfig(json, await readJsonFile(directory, "generation_config.json"));
    const tokenizer = await tokenizerFromDirectory(directory);
    return opened(await openSafetensorsDirectory(directory), async () => ({ config, tokenizer }));
  }
  return opened(await openGgufIn(directory, basename(path)), async (gguf) => ({
    config: await readGgufConfig(gguf),
    tokenizer: tokenizerFromGguf(gguf),
  }));
}

/** Takes over the stored checkpoint: it is disposed with the model, or at once when it cannot be read. */
async function opened<C extends Checkpoint>(
  stored: C,
  read: (stored: C) => Promise<Pick<OpenedModel, "config" | "tokenizer">>,
): Promise<OpenedModel> {
  try {
    const { config, tokenizer } = await read(stored);
    const checkpoint = canonicalCheckpoint(stored, config);
    return { config, checkpoint, tokenizer, [Symbol.dispose]: () => checkpoint[Symbol.dispose]() };
  } catch (error) {
    stored[Symbol.dispose]();
    throw error;
  }
}

/**
 * Load a model onto a device. Weights stay in their file's dtype, mapped where the device can. When it fails or is aborted, all that it has
 * opened is closed.
 */
export async function loadModel(path: string, options: LoadOptions = {}): Promise<LanguageModel> {
  const { device = "cpu", threads, kernels, programCache, onProgramCacheProblem, signal, onProgress, ...rest } = options;
  signal?.throwIfAborted();
  const session = await Session.open({
    device,
    ...(threads === undefined ? {} : { threads }),
    ...(kernels === undefined ? {} : { kernels }),
    ...(programCache === undefined
      ? {}
      : { programCache: typeof programCache === "string" ? directoryProgramCache(programCache) : programCache }),
    ...(onProgramCacheProblem === undefined ? {} : { onProgramCacheProblem }),
  });
  // What must be disposed if the rest fails; each step takes over from the one before.
  let owned: Disposable[] = [session];
  try {
    onProgress?.({ phase: "open", done: 0, total: 1 });
    const model = await openModel(path, (file) => session.mapFile(file));
    owned = [model, session];
    onProgress?.({ phase: "open", done: 1, total: 1 });
    const { config, checkpoint, tokenizer } = model;
    const weights = await weightStore(checkpoint, signal, (done, total) => onProgress?.({ phase: "read", done, total }));
    owned = [weights, session];
    const loaded = new LanguageModel({ config, session, weights, tokenizer, name: path }, rest);
    owned = [loaded];
    onProgress?.({ phase: "compile", done: 0, total: 1 });
    await loaded.prepare(signal);
    onProgress?.({ phase: "compile", done: 1, total: 1 });
    return loaded;
  } catch (error) {
    for (const resource of owned) resource[Symbol.dispose]();
    throw error;
  }
}

/** Weights by name: views of the mapped file, or read beforehand. The store owns the checkpoint. */
async function weightStore(
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
  progress: (done: number, total: number) => void,
): Promise<WeightStore> {
  const entries: [string, Tensor | (() => Tensor)][] = [];
  const names = checkpoint.names();
  for (const name of names) {
    signal?.throwIfAborted();
    if (checkpoint.mapped) entries.push([name, () => checkpoint.tensorSync(name)]);
    else if (checkpoint.info(name).dtype !== undefined) entries.push([name, await checkpoint.tensor(name)]);
    progress(entries.length, names.length);
  }
  return new WeightStore(entries, { onRelease: () => checkpoint[Symbol.dispose]() });
}
