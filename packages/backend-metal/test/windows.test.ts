// Which part of a mapped file one buffer of the device spans: native/metal/memory.cpp, at the limits.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { read, uint, write } from "@rlxjs/backend-metal";
import { afterAll, expect, test } from "vitest";
import type { MetalDevice } from "../src/device.ts";
import { bytes, call, HandMade, openDevice, theAddon } from "./hand-made.ts";
import { describeOnMetal, takeFaults } from "./variants.ts";

const folder = mkdtempSync(join(tmpdir(), "rlxjs-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Of any machine. */
const page = 16_384;
const most = 4 * page;

function mapped(device: MetalDevice, pages: number): ReturnType<MetalDevice["mapFile"]> {
  const path = join(folder, `${pages}.bin`);
  writeFileSync(path, new Uint8Array(pages * page));
  return device.mapFile(path);
}

/** A program that reads so many bytes behind the beginning of its weight. */
function reading(device: MetalDevice, weight: Uint8Array<ArrayBuffer>, behind: number) {
  const make = new HandMade();
  const [w, y] = [make.weight([weight.length / 4]), make.buffer("output", [1])];
  make.launch("overrun", { args: [uint(behind / 4)], buffers: [read(w), write(y)], grid: { threads: [1, 1, 1] } });
  return make.load(device, [weight, undefined]);
}

describeOnMetal("windows of mapped files", () => {
  const { software } = theAddon();

  test("what fits a buffer is used in place", () => {
    using device = openDevice({}, { maxMappedBytes: most + 5 });
    using file = mapped(device, 10);
    const holds = (at: number, length: number): boolean => device.native.holds(file.view(at, length));
    expect([holds(0, most), holds(4 * page, most), holds(16, most - 16), holds(page - 16, 32)]).toEqual([true, true, true, true]);
    expect([holds(0, most + 1), holds(page - 16, most), holds(16, most), holds(0, 10 * page)]).toEqual([false, false, false, false]);
    expect([holds(8, 64), holds(page + 4, 4)], "kernels take no such address").toEqual([false, false]);
    expect(holds(3, 0), "nothing is anywhere").toBe(true);
    using other = openDevice();
    using memory = other.allocate(64);
    expect([device.native.holds(memory.bytes), other.native.holds(memory.bytes), other.native.holds(bytes(64))]).toEqual([
      false,
      true,
      false,
    ]);
  });

  // Pages of the file, the weight in it, and the window that it should lie in.
  const windows = [
    [10, 0, 64, 0, 4 * page],
    [10, 2 * page - 32, 64, 0, 4 * page],
    [10, 2 * page, 64, 2 * page, 4 * page],
    [10, 4 * page - 16, 2 * page, 2 * page, 4 * page],
    [10, 0, 2 * page, 0, 4 * page],
    [10, 16, 3 * page - 16, 0, 3 * page],
    [10, 3 * page + 64, 3 * page - 64, 3 * page, 3 * page],
    [10, 4 * page, 4 * page, 4 * page, 4 * page],
    [10, 9 * page, page, 8 * page, 2 * page],
    [4, 3 * page, 64, 0, 4 * page],
    [4, 0, 3 * page, 0, 4 * page],
    [3, 2 * page + 64, 64, 0, 3 * page],
  ] as const;
  test.skipIf(!software).each(windows)("%i pages, weight at %i of %i bytes: window at %i of %i bytes", (pages, at, length, begin, span) => {
    using device = openDevice({}, { maxMappedBytes: most });
    using file = mapped(device, pages);
    const rest = begin + span - at;
    takeFaults();
    const run = (behind: number): void => {
      using loaded = reading(device, file.view(at, length), behind);
      loaded.runSync(call(0, [], [bytes(4)]));
    };
    const isOutside = (behind: number): boolean => {
      try {
        run(behind);
        return false;
      } catch (error) {
        return String(error).includes("read of 4 bytes");
      }
    };
    run(rest - 4);
    // Behind the end of a file there may be memory of software Metal's own, which kernels read.
    const tries = begin + span < pages * page ? 1 : 8;
    expect(Array.from({ length: tries }, (_, i) => rest + 4096 * i).some(isOutside)).toBe(true);
    takeFaults();
  });

  test.skipIf(!software)("weights in the same window share its buffer, and a file that fits one has one", () => {
    using device = openDevice({}, { maxMappedBytes: most });
    const buffers = (pages: number, ranges: readonly (readonly [number, number])[]): number => {
      using file = mapped(device, pages);
      const make = new HandMade();
      const weights = ranges.map(([at, length]) => {
        make.scale(make.weight([length / 4]), make.buffer("output", [length / 4]), 1);
        return file.view(at, length);
      });
      const before = software?.counters().buffers ?? 0;
      using loaded = make.load(
        device,
        make.program.buffers.map((b, i) => (b.kind === "weight" ? weights[i / 2] : undefined)),
      );
      loaded.runSync(
        call(
          0,
          [],
          ranges.map(() => undefined),
        ),
      );
      // Its arena, its status, an empty one, and one per output.
      return (software?.counters().buffers ?? 0) - before - 3 - ranges.length;
    };
    expect(
      buffers(10, [
        [0, 64],
        [64, 2 * page],
        [2 * page - 16, 64],
      ]),
    ).toBe(1);
    expect(
      buffers(10, [
        [0, 64],
        [2 * page, 64],
      ]),
    ).toBe(2);
    expect(
      buffers(4, [
        [0, 64],
        [2 * page, 64],
        [page, 3 * page],
      ]),
    ).toBe(1);
    expect(
      buffers(3, [
        [0, 64],
        [2 * page, 64],
      ]),
    ).toBe(1);
  });
});
