import { define, ops } from "@rlxjs/ir";
import { lowerGraph, type Program } from "@rlxjs/runtime";
import { describe, expect, test } from "vitest";
import { casesOf, OneOp } from "../../backend-cpu/test/one-op.ts";
import { encodeWork } from "../src/encode.ts";
import { metalKernels } from "../src/kernels/index.ts";
import type { MetalKernel, Shader } from "../src/launch.ts";
import { planProgram, planWork } from "../src/plan.ts";
import { fileSource, generatedSource } from "../src/shaders.ts";
import { createVariant, describeOnMetal, strictest } from "./variants.ts";

const programOf = (graph: Parameters<typeof lowerGraph>[0]): Program => lowerGraph(graph, { kernels: metalKernels });

describe("plan", () => {
  const graph = define("plan", (g) => {
    const x = g.input("x", "f32", [4, 3]);
    const ids = g.input("ids", "i32", [2]);
    const rows = g.gather(x, ids);
    const twice = g.add(rows, rows);
    return { y: g.gather(g.add(twice, twice), ids), z: g.neg(twice) };
  });

  test("equal functions are there once, generated ones in one library; steps that can refuse have slots in order", () => {
    const { libraries, pipelines, launches, slots } = planProgram(programOf(graph), metalKernels);
    expect(libraries.map((l) => l.label)).toEqual(["gather", "generated"]);
    const names = launches.map(({ step, pipeline, slot }) => ({ step, library: pipelines[pipeline]?.library, slot }));
    expect(names).toEqual([
      { step: 0, library: 0, slot: 0 },
      { step: 1, library: 1, slot: -1 },
      { step: 2, library: 1, slot: -1 },
      { step: 3, library: 0, slot: 1 },
      { step: 4, library: 1, slot: -1 },
    ]);
    expect(slots).toBe(2);
    expect(launches[1]?.pipeline).toBe(launches[2]?.pipeline);
  });

  test("the event loop may turn between any two steps and any two launches", () => {
    const program = programOf(graph);
    const turnsOf = (work: Generator): number => [...work].length;
    expect(turnsOf(planWork(program, metalKernels))).toBe(5);
    expect(turnsOf(encodeWork(program, planProgram(program, metalKernels)))).toBe(5);
  });

  test("a step without a Metal kernel is an error", () => {
    expect(() => planProgram(lowerGraph(graph, { kernels: [] }), metalKernels)).toThrow(
      'graph "plan": step 0 gather: expected a Metal kernel, got "reference"',
    );
  });
});

describe("sources", () => {
  const count = (text: string, part: string): number => text.split(part).length - 1;

  test("every header is there once, in front of what needs it", () => {
    const source = generatedSource(['#include "epilogue.h"\nkernel void a() {}', '#include "epilogue.h"\nkernel void b() {}']);
    for (const header of ["common.h", "scalar.h", "epilogue.h"]) expect(count(source, `#line 1 "${header}"`)).toBe(1);
    expect(source).not.toMatch(/#include "|#pragma once/);
    expect(source.indexOf("inline float scalar_max")).toBeLessThan(source.indexOf("kernel void a()"));
  });

  test("a prelude goes in front of a file", () => {
    const source = fileSource("gather", "#define PLANTED 1");
    expect(source.indexOf("enum Dtype")).toBeLessThan(source.indexOf("#define PLANTED 1"));
    expect(source.indexOf("#define PLANTED 1")).toBeLessThan(source.indexOf("kernel void"));
    expect(fileSource("gather", "")).not.toContain("PLANTED");
  });

  test("a file that is not there is an error", () => {
    expect(() => fileSource("nothing", "")).toThrow(/^shader "nothing.metal": expected a file of .*shaders$/);
  });
});

describeOnMetal("what the shader compiler says", () => {
  const failing = (shader: Shader): (() => void) => {
    const kernels = metalKernels.map(
      (kernel): MetalKernel => ({ ...kernel, launches: (s) => kernel.launches(s).map((l) => ({ ...l, shader })) }),
    );
    return () => {
      using backend = createVariant(strictest, { metalKernels: kernels });
      const [sample] = casesOf(ops.neg);
      if (sample) new OneOp(backend, ops.neg, sample)[Symbol.dispose]();
    };
  };

  test("names the file and its line, whatever was put in front of it", () => {
    expect(failing({ text: "\nkernel void broken() { int x = y; }\n" })).toThrow(
      /library "generated" does not compile:\n(.*\n)*generated:3:\d+: error: .*y/,
    );
    expect(failing({ file: "gather", prelude: "#define gather ]" })).toThrow(
      /library "gather" does not compile:\n(.*\n)*gather\.metal:\d+:/,
    );
  });
});
