import "../backends.ts";
import { writeFileAtomically } from "@rlxjs/models-core/node";
import { InputError } from "../errors.ts";
import { type DeviceFlags, type KvCacheFlags, kvCacheOption } from "../flags.ts";
import { readIds } from "../ids.ts";
import { onInterrupt } from "../interrupt.ts";
import { load } from "../load.ts";

export interface LogitsFlags extends DeviceFlags, KvCacheFlags {
  readonly idsFile: string;
  readonly out: string;
  readonly mode: "full" | "decode";
}

/** `rlxjs logits`: ids and output are checked before the model is loaded, and the file appears only when it is whole. */
export async function logits(path: string, { out, mode, idsFile, ...flags }: LogitsFlags): Promise<void> {
  const signal = onInterrupt();
  const ids = await readIds(idsFile);
  await writeFileAtomically(out, async (sink) => {
    const { model } = await load(path, flags, { signal, kvCache: kvCacheOption(flags, "f32") });
    using _ = model;
    const wrong = ids.findIndex((id) => id >= model.config.vocabSize);
    if (wrong >= 0)
      throw new InputError(`${idsFile}: token ${wrong}: expected an id from 0 to ${model.config.vocabSize - 1}, got ${ids[wrong]}`);
    await sink.write((await model.logits(ids, { mode, signal })).bytes);
  });
}
