import type { LanguageModel, ModelOptions } from "@rlxjs/models-core";
import { type LoadProgress, loadModel } from "@rlxjs/models-core/node";
import { SingleBar } from "cli-progress";
import { type DeviceFlags, demoModel } from "./flags.ts";

export interface Loaded {
  readonly model: LanguageModel;
  readonly path: string;
  /** Milliseconds until the files were open and their weights known, and for compiling the graphs after that. */
  readonly loadMs: number;
  readonly compileMs: number;
}

/** Load a model (undefined: the demo model) with a progress bar on a terminal. */
export async function load(path: string | undefined, flags: DeviceFlags, options: ModelOptions & { signal: AbortSignal }): Promise<Loaded> {
  const { device, kernels, threads, programCache } = flags;
  const bar = process.stderr.isTTY ? progressBar() : undefined;
  const start = performance.now();
  let compileStart = start;
  const file = path ?? demoModel;
  const onProgress = ({ phase, done, total }: LoadProgress): void => {
    if (phase === "compile" && done === 0) compileStart = performance.now();
    bar?.setTotal(total);
    bar?.update(done, { phase });
  };
  try {
    const model = await loadModel(file, {
      ...options,
      device,
      ...(kernels === undefined ? {} : { kernels }),
      ...(threads === undefined ? {} : { threads }),
      ...(programCache === undefined ? {} : { programCache }),
      onProgramCacheProblem: (error) => console.warn(`rlxjs: ${error instanceof Error ? error.message : String(error)}`),
      onProgress,
    });
    return { model, path: file, loadMs: compileStart - start, compileMs: performance.now() - compileStart };
  } finally {
    bar?.stop();
  }
}

/** A bar on stderr that goes away when it is done. */
export function progressBar(): SingleBar {
  const bar = new SingleBar({ format: "{phase} [{bar}] {value}/{total}", stream: process.stderr, clearOnComplete: true, hideCursor: true });
  bar.start(1, 0, { phase: "open" });
  return bar;
}
