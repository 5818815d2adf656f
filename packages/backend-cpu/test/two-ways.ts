import { createNativeBackend, loadAddon, type NativeOptions } from "@rlxjs/backend-cpu";
import type { Backend } from "@rlxjs/runtime";
import { afterAll, describe, expect, test } from "vitest";
import type { TwoWays } from "./suites/attention-problem.ts";

const { addon, reason } = loadAddon();
const isas = addon?.cpuInfo().isas ?? [];
const opened: Backend[] = [];
afterAll(() => {
  for (const b of opened) b[Symbol.dispose]();
});

function opening(options: NativeOptions): () => Backend {
  let backend: Backend | undefined;
  return () => {
    if (!addon) throw new Error(`no addon: ${reason}`);
    if (backend) return backend;
    backend = createNativeBackend(addon, options);
    opened.push(backend);
    return backend;
  };
}

/** A suite on one thread and on two, with the best instruction set or with every one that this machine has. */
export function describeThreads(which: "best" | "all", suite: (ways: TwoWays) => void): void {
  test("the addon is built", () => expect(reason).toBeUndefined());
  const choices: readonly (readonly [string, NativeOptions])[] = which === "best" ? [["best", {}]] : isas.map((isa) => [isa, { isa }]);
  describe.each(choices)("%s", (_, options) =>
    suite({ one: opening({ ...options, threads: 1 }), two: opening({ ...options, threads: 2 }), sameAlone: true }),
  );
}
