import { BucketedCompileCache, type CompiledGraph, nextTask } from "@rlxjs/runtime";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import {
  GpuKvBinding,
  installGpuKvHandles,
  KvCacheState,
  reinstallGpuKvHandles,
  runBucketedKvDecode,
  runBucketedKvDecodeGpu,
  syncGpuKvToHost,
} from "../../../src/index.ts";
import { recorder, recorderDims } from "../recorder.ts";
import type { OpenSession } from "../../../../runtime/test/suites/open-session.ts";

export async function anyOrderSuite(open: OpenSession, numRuns = 40): Promise<void> {
  const session = await open();
  const ranges = [
    { start: 0, end: 3 },
    { start: 3, end: 7 },
    { start: 7, end: 15 },
  ];
  const last = 14;
  const resources: Disposable[] = [];
  afterAll(() => {
    for (const resource of resources) resource[Symbol.dispose]();
    session[Symbol.dispose]();
  });

  const operation = fc.record({
    kind: fc.constantFrom(
      "host",
      "resident",
      "resident",
      "other",
      "truncate",
      "sync",
      "install",
      "reinstall",
      "reset",
      "aborted",
      "refused",
    ),
    n: fc.nat(1000),
  });

  describe.each(["padded", "symbolic", "state"] as const)("%s past", (form) => {
    test.each([1, 2])("batch %i: steps, truncations, moves and failures in any order leave the rows of a plain list", async (batch) => {
      const cache = new BucketedCompileCache(session, ranges);
      const graph = (upper: number) => recorder(form, form === "state" ? upper + 1 : upper, batch);
      const spare: CompiledGraph = await session.compile(graph(last), {});
      resources.push(spare, cache);
      const build = (upper: number) => ({ graph: graph(upper), params: {} });
      await fc.assert(
        fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (operations) => {
          const kv = new KvCacheState({ batch, kvDims: recorderDims });
          using binding = new GpuKvBinding();
          using other = new GpuKvBinding();
          const model: number[] = [];
          let next = 1;
          for (const { kind, n } of operations) {
            const row = next++;
            const inputs_embeds = Float32Array.from({ length: batch * 3 }, (_, i) => row + 100 * Math.floor(i / 3) + (i % 3) / 4);
            const call = { cache, kv, inputs: { inputs_embeds }, build };
            const room = model.length <= last;
            if (kind === "host") {
              syncGpuKvToHost(kv);
              if (!room) continue;
              await runBucketedKvDecode(call);
              model.push(row);
            } else if (kind === "resident" || kind === "other") {
              if (!room) continue;
              const { logits } = await runBucketedKvDecodeGpu({ ...call, binding: kind === "other" ? other : binding });
              expect(logits.get(0)).toBe(row);
              model.push(row);
            } else if (kind === "truncate") {
              const length = n % (model.length + 1);
              kv.truncate(length);
              model.length = length;
            } else if (kind === "sync") syncGpuKvToHost(kv);
            else if (kind === "install") {
              if (model.length <= last) installGpuKvHandles(binding, kv, spare);
            } else if (kind === "reinstall") {
              if (kv.onDevice?.length === kv.pastLen && model.length <= last) reinstallGpuKvHandles(binding, kv, spare);
            } else if (kind === "reset") {
              syncGpuKvToHost(kv);
              binding.reset();
            } else if (kind === "aborted") {
              if (!room) continue;
              const stop = new AbortController();
              const options = { ...call, signal: stop.signal };
              if (n % 2) syncGpuKvToHost(kv);
              const run = n % 2 ? runBucketedKvDecode(options) : runBucketedKvDecodeGpu({ ...options, binding });
              const settled = Promise.allSettled([run]);
              for (let tick = n % 12; tick > 0; tick--) await undefined;
              if (n % 5 === 0) await nextTask();
              stop.abort(new Error("stop"));
              // It may have come too late.
              const [{ status }] = await settled;
              if (status === "fulfilled") model.push(row);
            } else {
              // An input that the graph does not have: found when everything else is in place.
              const wrong = { ...call, inputs: { inputs_embeds, nonsense: 1 } };
              await expect(n % 2 ? runBucketedKvDecodeGpu({ ...wrong, binding }) : runBucketedKvDecode(wrong)).rejects.toThrow();
            }
            expect(kv.pastLen).toBe(model.length);
          }
          syncGpuKvToHost(kv);
          const rows = (layer: number, added: number) =>
            Float32Array.from(
              Array.from({ length: batch }, (_, b) =>
                model.flatMap((row) => Array.from({ length: recorderDims[layer] ?? 0 }, (_, i) => row + 100 * b + i / 4 + added)),
              ).flat(),
            );
          expect(kv.layersK).toEqual([rows(0, 0), rows(1, 0)]);
          expect(kv.layersV).toEqual([rows(0, 1000), rows(1, 1000)]);
        }),
        { numRuns },
      );
    });
  });
}
