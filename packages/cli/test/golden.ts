import { openSafetensors } from "@rlxjs/models-core";
import { openFile } from "@rlxjs/models-core/node";

/** The golden tensors of a model directory, as plain numbers. */
export async function openGolden(directory: string): Promise<(name: string) => number[]> {
  const checkpoint = await openSafetensors(await openFile(`${directory}/golden.safetensors`));
  const tensors = new Map<string, number[]>();
  for (const name of checkpoint.names()) tensors.set(name, (await checkpoint.tensor(name)).toArray());
  checkpoint[Symbol.dispose]();
  return (name) => {
    const values = tensors.get(name);
    if (!values) throw new Error(`${directory}: no golden tensor ${name}`);
    return values;
  };
}
