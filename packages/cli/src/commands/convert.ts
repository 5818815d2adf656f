import type { ConvertType } from "@rlxjs/models-core";
import { convertDirectory } from "@rlxjs/models-core/node";
import { onInterrupt } from "../interrupt.ts";
import { progressBar } from "../load.ts";

/** `rlxjs convert`: the file appears only when it is whole. */
export async function convert(from: string, out: string, { type }: { readonly type: ConvertType }): Promise<void> {
  const signal = onInterrupt();
  const bar = process.stderr.isTTY ? progressBar() : undefined;
  const onProgress = (written: number, total: number): void => {
    bar?.setTotal(total);
    bar?.update(written, { phase: "write" });
  };
  const { architecture, tensors, bytes, notes } = await convertDirectory(from, out, { type, signal, onProgress }).finally(() =>
    bar?.stop(),
  );
  for (const note of notes) process.stderr.write(`rlxjs: note: ${note}\n`);
  process.stdout.write(`${out}: ${architecture}, ${tensors} tensors, ${(bytes / 1e6).toFixed(1)} MB\n`);
}
