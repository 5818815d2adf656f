import { createNativeBackend, createReferenceBackend, loadAddon } from "@rlxjs/backend-cpu";
import type { Backend } from "@rlxjs/runtime";
import { afterAll, expect } from "vitest";
import type { RunInto } from "../../ir/test/support/quantized.ts";
import { OneOp } from "./one-op.ts";

const { addon } = loadAddon();
/** References, and every instruction set of this machine, with a pool, so that work is split. */
export const backends: Record<string, Backend> = { reference: createReferenceBackend() };
if (addon) for (const isa of addon.cpuInfo().isas) backends[`native ${isa}`] = createNativeBackend(addon, { isa, threads: 2 });
afterAll(() => {
  for (const b of Object.values(backends)) b[Symbol.dispose]();
});

/** As a step of a program on states; their memory comes back whether it fails or not. */
export const runOn =
  (backend: Backend): RunInto =>
  (def, slots, attrs, outs) => {
    using one = new OneOp(backend, def, { name: def.name, slots, attrs });
    try {
      for (const [i, t] of one.runSync().entries()) outs?.[i]?.bytes.set(t.bytes);
    } finally {
      for (const [slot, { bytes, intact }] of one.states) {
        slots[slot]?.bytes.set(bytes);
        expect(intact).toBe(true);
      }
    }
  };
