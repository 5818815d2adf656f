import type { Backend, Executable, PreparedProgram } from "./backend.ts";
import type { Program } from "./program.ts";
import type { Work } from "./task.ts";

/** A program on its device. Where work is done in slices, what the device can prepare in threads of its own is waited for. */
export function* loadProgram(
  backend: Backend,
  program: Program,
  bound: readonly (Uint8Array<ArrayBuffer> | undefined)[],
): Work<Executable> {
  let prepared = undefined as PreparedProgram | undefined;
  try {
    yield {
      run: async () => {
        prepared = await backend.prepare?.(program);
      },
      runSync: () => undefined,
    };
    return prepared?.load(bound) ?? backend.load(program, bound);
  } finally {
    prepared?.[Symbol.dispose]();
  }
}
