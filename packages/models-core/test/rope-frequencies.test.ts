import { describe, expect, it } from "vitest";
import { type RopeConfig, type RopeScaling, ropeFrequencies } from "../src/index.ts";

const rope = (dim: number, theta: number, scaling: RopeScaling): RopeConfig => ({ dim, theta, scaling, interleaved: false });
const freqs = (r: RopeConfig, length?: number): number[] => [...ropeFrequencies(r, length).invFreq];
/** Equal to float32 precision. */
const close = (got: readonly number[], want: readonly number[]): void => {
  expect(got).toHaveLength(want.length);
  got.forEach((g, i) => {
    expect(Math.abs(g / (want[i] ?? 0) - 1), `frequency ${i}: ${g}, expected ${want[i]}`).toBeLessThan(2e-7);
  });
};

describe("rope frequencies", () => {
  it("are theta^(-2i/dim)", () => {
    close(freqs(rope(8, 10_000, { type: "none" })), [1, 0.1, 0.01, 0.001]);
  });
  it("linear: divided by the factor", () => {
    close(freqs(rope(4, 10_000, { type: "linear", factor: 8 })), [0.125, 0.00125]);
  });
  it("divisors: each by its own", () => {
    close(freqs(rope(4, 10_000, { type: "divisors", divisors: [1, 4] })), [1, 0.0025]);
  });

  it("dynamic: theta as configured up to the trained length, then stretched", () => {
    const r = rope(4, 100, { type: "dynamic", factor: 2, originalMaxPositions: 10 });
    close(freqs(r), [1, 0.1]);
    close(freqs(r, 10), [1, 0.1]);
    // theta (2 * 20 / 10 - 1)^(4/2) = 100 * 9
    close(freqs(r, 20), [1, 1 / 30]);
  });

  it("llama3: kept above highFreqFactor turns, divided below lowFreqFactor, blended between", () => {
    // Turns over the original context, 628 = 200 pi: 100, 10, 1 and 0.1 for the four pairs.
    const turns = (628 * 0.1) / (2 * Math.PI);
    const keep = (turns - 2) / (40 - 2);
    const scaling: RopeScaling = { type: "llama3", factor: 8, lowFreqFactor: 2, highFreqFactor: 40, originalMaxPositions: 628 };
    close(freqs(rope(8, 10_000, scaling)), [1, (1 - keep) * (0.1 / 8) + keep * 0.1, 0.01 / 8, 0.001 / 8]);
  });

  it("llama3: the published settings of Llama 3.1 8B", () => {
    const got = freqs(rope(128, 500_000, { type: "llama3", factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 }));
    const plain = (i: number): number => 500_000 ** (-i / 64);
    // Wavelengths 2 pi / f: pair 28 has 1959 (< 8192 / 4: kept), pair 36 has 10079 (> 8192: divided), pair 30 has 2948 (blended).
    const keep = ((8192 * plain(30)) / (2 * Math.PI) - 1) / 3;
    close(
      [got[0] ?? 0, got[28] ?? 0, got[30] ?? 0, got[36] ?? 0, got[63] ?? 0],
      [1, plain(28), (1 - keep) * (plain(30) / 8) + keep * plain(30), plain(36) / 8, plain(63) / 8],
    );
  });

  const yarn = (more: Partial<Extract<RopeScaling, { type: "yarn" }>> = {}): RopeScaling => ({
    type: "yarn",
    factor: 4,
    originalMaxPositions: 4096,
    betaFast: 32,
    betaSlow: 1,
    truncate: true,
    attentionFactor: undefined,
    mscale: undefined,
    mscaleAllDim: undefined,
    ...more,
  });
  it("yarn: a ramp over the pairs", () => {
    const got = freqs(rope(64, 10_000, yarn()));
    const plain = (i: number): number => 10_000 ** (-i / 32);
    // Pairs that turn 32 times and once in 4096: 64 ln(4096 / (32 * 2 pi)) / (2 ln 10000) = 10.47, and 22.51; so the ramp is 10 to 23.
    const ramp = (i: number): number => Math.min(1, Math.max(0, (i - 10) / 13));
    close(
      got,
      got.map((_, i) => ramp(i) * (plain(i) / 4) + (1 - ramp(i)) * plain(i)),
    );
    expect(got[10]).toBeCloseTo(plain(10), 7);
    expect(got[23]).toBeCloseTo(plain(23) / 4, 7);
  });
  it("yarn: without rounding the ramp's ends", () => {
    const got = freqs(rope(64, 10_000, yarn({ truncate: false })));
    const end = (turns: number): number => (64 * Math.log(4096 / (turns * 2 * Math.PI))) / (2 * Math.log(10_000));
    const ramp = (16 - end(32)) / (end(1) - end(32));
    close([got[16] ?? 0], [ramp * (0.01 / 4) + (1 - ramp) * 0.01]);
  });
  it("yarn: the factor on cos and sin", () => {
    const factor = (more: Partial<Extract<RopeScaling, { type: "yarn" }>>): number =>
      ropeFrequencies(rope(64, 10_000, yarn(more))).attentionFactor;
    expect(factor({})).toBeCloseTo(1 + 0.1 * Math.log(4), 12);
    expect(factor({ attentionFactor: 1.25 })).toBe(1.25);
    expect(factor({ factor: 1 })).toBe(1);
    expect(factor({ mscale: 0.5, mscaleAllDim: 2 })).toBeCloseTo((1 + 0.05 * Math.log(4)) / (1 + 0.2 * Math.log(4)), 12);
  });
});
