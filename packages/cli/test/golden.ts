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

/** NaN where the second list is shorter. */
export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs((a[i] ?? Number.NaN) - (b[i] ?? Number.NaN)));
  return largest;
}
