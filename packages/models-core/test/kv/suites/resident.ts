import { afterAll, describe, expect, test } from "vitest";
import { GpuKvBinding, GpuKvCacheSet, KvCacheState, KvStateError, syncGpuKvToHost } from "../../../src/index.ts";
import { buckets, decodeLoop, greedy, maxDifference } from "../decode-loop.ts";
import { kvDimsOf } from "../tiny-model.ts";
import type { OpenSession } from "../../../../runtime/test/suites/open-session.ts";

export async function residentKvSuite(
  open: OpenSession,
  shapes = [
    { batch: 2, kvHeads: [2, 2] },
    { batch: 3, kvHeads: [4, 1] },
  ],
): Promise<void> {
  const session = await open();
  afterAll(() => session[Symbol.dispose]());

  const forms = ["padded", "symbolic", "state"] as const;

  describe.each(forms)("%s past", (past) => {
    test.each(shapes)(
      "rows on the device are those on the host (batch $batch): rollover, sync, truncate, go on",
      async ({ batch, kvHeads }) => {
        using host = decodeLoop(session, { past, kvHeads, batch }, { where: "host" });
        using device = decodeLoop(session, { past, kvHeads, batch }, { where: "resident" });
        let ids = [1, 6, 11].slice(0, batch);
        const steps = async (count: number) => {
          for (let i = 0; i < count; i++) {
            const [a, b] = [await host.step(ids), await device.step(ids)];
            expect(maxDifference(a.logits.values(), b.logits.values())).toBeLessThan(1e-5);
            ids = greedy(a.logits);
          }
        };
        const same = () => {
          syncGpuKvToHost(device.kv);
          expect([device.kv.pastLen, device.kv.hostLen]).toEqual([host.kv.pastLen, host.kv.pastLen]);
          for (const layers of ["layersK", "layersV"] as const)
            for (const [i, rows] of host.kv[layers].entries()) expect(maxDifference(rows, device.kv[layers][i] ?? [])).toBeLessThan(1e-5);
        };
        await steps(7);
        expect(device.kv.hostLen).toBe(0);
        expect(() => device.kv.layersK).toThrow("positions 0 to 6 on a device: sync them first");
        same();
        await steps(6);
        expect(device.kv.hostLen).toBe(7);
        for (const { kv } of [host, device]) kv.truncate(10);
        await steps(3);
        same();
        for (const { kv } of [host, device]) kv.truncate(2);
        await steps(18);
        same();
      },
    );

    test("a token is one native call; the host gives ids and reads logits, and no row of the cache leaves the device", async () => {
      const [batch, kvHeads] = [3, [2, 1]];
      const ranges = [{ start: 0, end: 33 }];
      using loop = decodeLoop(session, { past, kvHeads, batch }, { where: "resident", ranges });
      await loop.step([1, 2, 3]);
      const compiled = loop.binding.compiled;
      const before = compiled?.stats();
      for (let i = 0; i < 10; i++) await loop.step([1, 2, 3]);
      expect(loop.binding.compiled).toBe(compiled);
      const after = compiled?.stats();
      const delta = (key: "runs" | "nativeCalls" | "compiles" | "toHostBytes" | "toDeviceBytes" | "deviceCopyBytes" | "stateCopies") =>
        (after?.[key] ?? 0) - (before?.[key] ?? 0);
      expect([delta("runs"), delta("compiles"), delta("stateCopies")]).toEqual([10, 0, 0]);
      // The references run on the host.
      expect(delta("nativeCalls")).toBe(after?.hostSteps === 0 ? 10 : 0);
      // Logits and the greedy ids.
      expect(delta("toHostBytes")).toBe(10 * batch * (16 * 4 + 4));
      // Ids, the position, and a mask of a byte per key.
      expect(delta("toDeviceBytes")).toBe(10 * (batch * 4 + 4 + (past === "padded" ? batch * 33 : 0)));
      const newRows = 2 * batch * 4 * kvDimsOf(kvHeads).reduce((a, b) => a + b);
      if (past === "padded") expect(delta("deviceCopyBytes")).toBe(10 * newRows);
      if (past === "state") expect(delta("deviceCopyBytes")).toBe(0);
      expect([loop.kv.hostLen, loop.kv.movedBytes]).toEqual([0, 0]);
    });

    test("a rollover copies the rows on the device and nothing to the host", async () => {
      using loop = decodeLoop(session, { past, kvHeads: [2, 1], batch: 2 }, { where: "resident" });
      // In state form the bucket has room for the row behind its longest past.
      for (let i = 0; i < (past === "state" ? 5 : 4); i++) await loop.step([1, 2]);
      const before = loop.binding.compiled;
      await loop.step([1, 2]);
      const after = loop.binding.compiled;
      expect([before?.name === after?.name, loop.binding.upper, loop.kv.hostLen]).toEqual([false, past === "state" ? 9 : 8, 0]);
      const { toDeviceBytes = 0 } = after?.stats() ?? {};
      expect(toDeviceBytes).toBe(2 * 4 + 4 + (past === "padded" ? 2 * 9 : 0));
      expect(before?.hasGpuHandle("past_k_0")).toBe(false);
    });

    test("behind the last bucket the newest rows go to the host, and nothing is lost", async () => {
      const ranges = [{ start: 0, end: 5 }];
      using device = decodeLoop(session, { past, kvHeads: [2, 2], batch: 2 }, { where: "resident", ranges });
      using host = decodeLoop(session, { past, kvHeads: [2, 2], batch: 2 }, { where: "host", ranges });
      for (let i = 0; i < 5; i++) {
        await device.step([i, i + 1]);
        await host.step([i, i + 1]);
      }
      await expect(device.step([0, 0])).rejects.toThrow("past 5: expected a key in [0, 5), got 5");
      syncGpuKvToHost(device.kv);
      expect(device.kv.pastLen).toBe(5);
      expect(maxDifference(device.kv.layersK[1] ?? [], host.kv.layersK[1] ?? [])).toBeLessThan(1e-6);
    });

    test("a cache goes from binding to binding, on the device", async () => {
      const form = { past, kvHeads: [2, 1], batch: 2 };
      using set = new GpuKvCacheSet();
      const kv = new KvCacheState({ batch: 2, kvDims: kvDimsOf(form.kvHeads) });
      const ranges = [{ start: 0, end: 33 }];
      using a = decodeLoop(session, form, { where: "resident", kv, ranges, binding: set.causal });
      using b = decodeLoop(session, form, { where: "resident", kv, ranges, binding: set.mtp });
      using host = decodeLoop(session, form, { where: "host", ranges });
      for (const loop of [a, a, b, b, a, b]) await loop.step([5, 7]);
      for (let i = 0; i < 6; i++) await host.step([5, 7]);
      expect([set.causal.kv, set.mtp.kv, kv.hostLen]).toEqual([undefined, kv, 0]);
      set.resetDecodeAfterMtp();
      syncGpuKvToHost(kv);
      expect(kv.layersK.map((rows, i) => maxDifference(rows, host.kv.layersK[i] ?? []) < 1e-6)).toEqual([true, true]);
      set.reset();
      expect([set.mtp.kv, kv.onDevice]).toEqual([undefined, undefined]);
    });

    test("rows that are nowhere else are not overwritten by another cache, but a reset gives them up", async () => {
      const form = { past, kvHeads: [2, 2], batch: 1 };
      using loop = decodeLoop(session, form, { where: "resident" });
      await loop.step([1]);
      using rival = decodeLoop(session, form, { where: "resident", binding: loop.binding, cache: loop.cache });
      await expect(rival.step([2])).rejects.toThrow(KvStateError);
      expect([rival.kv.pastLen, loop.kv.pastLen]).toEqual([0, 1]);
      syncGpuKvToHost(loop.kv);
      await rival.step([2]);
      // The first one is complete on the host and comes back once the rival is, too.
      syncGpuKvToHost(rival.kv);
      await loop.step([3]);
      loop.binding.reset();
      await expect(loop.step([4])).rejects.toThrow("positions 1 to 1 lost with the device memory they were in");
      loop.kv.truncate(1);
      await loop.step([3]);
      expect(loop.kv.pastLen).toBe(2);
    });
  });

  describe("formats of states", () => {
    test.each([
      { format: "f32", layout: "token" },
      { format: "f16", layout: "head" },
      { format: "bf16", layout: "token" },
    ] as const)("$format rows of $layout layout are the same on the host", async ({ format, layout }) => {
      const form = { past: "state", kvHeads: [2, 1], batch: 2, format, layout } as const;
      using host = decodeLoop(session, form, { where: "host" });
      using device = decodeLoop(session, form, { where: "resident" });
      for (let i = 0; i < 12; i++) {
        const ids = [i, (5 * i) % 16];
        const [a, b] = [await host.step(ids), await device.step(ids)];
        expect(maxDifference(a.logits.values(), b.logits.values())).toBeLessThan(1e-5);
      }
      syncGpuKvToHost(device.kv);
      // What came from the host goes back to the device as it was.
      device.binding.reset();
      const [a, b] = [await host.step([1, 2]), await device.step([1, 2])];
      expect(maxDifference(a.logits.values(), b.logits.values())).toBeLessThan(1e-5);
    });

    test("quantized rows move from bucket to bucket as they are, and do not go to the host", async () => {
      const form = { past: "state", kvHeads: [2, 1], batch: 2, format: "q8_0" } as const;
      using one = decodeLoop(session, form, { where: "resident", ranges: [{ start: 0, end: 33 }] });
      using many = decodeLoop(session, form, { where: "resident" });
      for (let i = 0; i < 12; i++) {
        const ids = [i, (5 * i) % 16];
        const [a, b] = [await one.step(ids), await many.step(ids)];
        expect(maxDifference(a.logits.values(), b.logits.values())).toBeLessThan(1e-5);
      }
      many.kv.truncate(3);
      await many.step([1, 2]);
      expect(() => syncGpuKvToHost(many.kv)).toThrowErrorMatchingInlineSnapshot(
        `[KvStateError: KV cache: past_k_0: expected f32, f16 or bf16 to exchange rows with the host, got q8_0: keep them on the device]`,
      );
      using host = decodeLoop(session, form, { where: "host" });
      await expect(host.step([1, 2])).rejects.toThrow("keep them on the device");
      expect([many.kv.pastLen, many.kv.hostLen, host.kv.pastLen]).toEqual([4, 0, 0]);
    });
  });

  test("the handles of a graph hold one cache, states as many as there are bindings", async () => {
    for (const past of forms) {
      const form = { past, kvHeads: [2, 2], batch: 1 };
      using one = decodeLoop(session, form, { where: "resident" });
      using two = decodeLoop(session, form, { where: "resident", cache: one.cache });
      await one.step([1]);
      if (past !== "state") {
        await expect(two.step([2])).rejects.toThrow("its handles hold rows of another cache that are not on the host");
        syncGpuKvToHost(one.kv);
      }
      await two.step([2]);
      expect([one.kv.pastLen, two.kv.pastLen, one.binding.kv === one.kv]).toEqual([1, 1, past === "state"]);
      syncGpuKvToHost(two.kv);
      await one.step([3]);
      expect(one.kv.pastLen).toBe(2);
    }
  });

  test("refreshKv takes the host's rows", async () => {
    using loop = decodeLoop(session, { past: "padded", kvHeads: [2, 2], batch: 1 }, { where: "resident", refreshKv: true });
    await loop.step([1]);
    await expect(loop.step([2])).rejects.toThrow("sync them first");
    syncGpuKvToHost(loop.kv);
    await loop.step([2]);
    expect([loop.kv.pastLen, buckets.length]).toEqual([2, 4]);
  });

  test("an unused binding has nothing", () => {
    using binding = new GpuKvBinding();
    expect([binding.kv, binding.compiled, binding.upper]).toEqual([undefined, undefined, undefined]);
  });
}
