import { define } from "@rlxjs/ir";
import { CompileCache, type CompiledGraph, type CompiledLease, Session, UseAfterDisposeError } from "@rlxjs/runtime";
import fc from "fast-check";
import { expect, test } from "vitest";
import "@rlxjs/backend-cpu";

const plus = (n: number) => define("plus", (g) => ({ y: g.add(g.input("x", "f32", [1]), n) }));
const works = async (compiled: CompiledGraph<"y">, n: number) =>
  expect((await compiled.run({ inputs: { x: new Float32Array(1) } })).y.toArray()).toEqual([n]);

/** What the cache should hold: keys, least recently used first, and how many leases each has. */
class Model {
  readonly users = new Map<number, number>();
  evictions = 0;
  acquire(n: number): void {
    const users = this.users.get(n) ?? 0;
    this.users.delete(n);
    this.users.set(n, users + 1);
  }
  release(n: number): void {
    this.users.set(n, (this.users.get(n) ?? 0) - 1);
  }
  trim(capacity: number): void {
    const last = [...this.users.keys()].at(-1);
    for (const [n, users] of this.users)
      if (this.users.size > capacity && users === 0 && n !== last) {
        this.users.delete(n);
        this.evictions++;
      }
  }
}

test("any sequence of requests and ends of use keeps what a plain list would keep", async () => {
  using session = await Session.open({ device: "cpu", kernels: "reference" });
  using probe = await session.compile(plus(1));
  const bytes = probe.residentBytes;
  const use = fc.record({ acquire: fc.boolean(), pick: fc.nat(5) });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 4 }), fc.array(use, { maxLength: 40 }), async (capacity, uses) => {
      const cache = new CompileCache(session, { maxBytes: capacity * bytes });
      const model = new Model();
      const leases: { n: number; lease: CompiledLease<"y"> }[] = [];
      const seen = new Map<CompiledGraph<"y">, number>();
      for (const { acquire, pick } of uses) {
        if (acquire) {
          const n = pick + 1;
          const lease = await cache.compile(plus(n));
          leases.push({ n, lease });
          seen.set(lease.compiled, n);
          model.acquire(n);
        } else {
          const [ended] = leases.splice(pick % Math.max(1, leases.length), 1);
          if (!ended) continue;
          ended.lease[Symbol.dispose]();
          model.release(ended.n);
        }
        model.trim(capacity);
        for (let n = 1; n <= 6; n++) expect(cache.has(plus(n))).toBe(model.users.has(n));
        expect(cache.stats()).toMatchObject({ entries: model.users.size, evictions: model.evictions, bytes: model.users.size * bytes });
        for (const { n, lease } of leases) await works(lease.compiled, n);
      }
      cache[Symbol.dispose]();
      for (const { n, lease } of leases) await works(lease.compiled, n);
      for (const { lease } of leases) lease[Symbol.dispose]();
      for (const [compiled, n] of seen) await expect(works(compiled, n)).rejects.toThrow(UseAfterDisposeError);
    }),
    { numRuns: 100 },
  );
});
