import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createMetalBackend, type Launch, metalKernels, type MetalKernel } from "@rlxjs/backend-metal";
import { define, Tensor } from "@rlxjs/ir";
import { registerBackend, Session } from "@rlxjs/runtime";
import { expect, test } from "vitest";
import { bytes, call, f32, HandMade, openDevice, source, theAddon, values } from "./hand-made.ts";
import { configured, describeOnMetal, expectNoFaults, fastest } from "./variants.ts";

let texts = 0;
/** A comment that makes a source one that nothing has compiled yet. */
const fresh = (): string => `// ${process.pid} ${Date.now()} ${texts++}\n`;

/** y = x * 2 */
function doubling(text: string): HandMade {
  const make = new HandMade(text);
  return make.scale(make.buffer("input"), make.buffer("output"), 2);
}

const graph = define("layer", (g) => {
  const x = g.softmax(g.input("x", "f32", [4, 32]));
  return { y: g.softmax(g.linear(x, g.param("w", "f32", [16, 32]))) };
});
const overrides = { w: Tensor.zeros("f32", [16, 32]) };

/** The kernels, with a text in front of each of their shaders. */
const kernelsWith = (text: string): readonly MetalKernel[] =>
  metalKernels.map((kernel) => ({
    ...kernel,
    launches: (step) => kernel.launches(step).map((launch): Launch => ({ ...launch, shader: behind(text, launch.shader) })),
  }));
const behind = (text: string, shader: Launch["shader"]): Launch["shader"] =>
  "text" in shader ? { text: text + shader.text } : { ...shader, prelude: text + (shader.prelude ?? "") };

/** What is compiled while native code prepares and loads programs, and how often a timer fires meanwhile. */
class Watch {
  prepared = 0;
  ticksWhilePrepared = 0;
  compiledWhileLoaded = 0;
  begun: () => void = () => {};

  /** A session on a device of its own. */
  open(text: string): Promise<Session> {
    const watch = this;
    const addon = theAddon();
    const compiled = (): number => addon.software?.counters().libraries ?? 0;
    class Device extends addon.Device {
      override async prepare(...program: Parameters<InstanceType<typeof addon.Device>["prepare"]>): Promise<() => void> {
        const timer = setInterval(() => watch.ticksWhilePrepared++, 1);
        watch.prepared++;
        try {
          const preparing = super.prepare(...program);
          watch.begun();
          return await preparing;
        } finally {
          clearInterval(timer);
        }
      }
      override load(...program: Parameters<InstanceType<typeof addon.Device>["load"]>) {
        const before = compiled();
        const loaded = super.load(...program);
        watch.compiledWhileLoaded += compiled() - before;
        return loaded;
      }
    }
    registerBackend("metal", async (options) => createMetalBackend({ ...addon, Device }, { ...options, metalKernels: kernelsWith(text) }));
    return configured(fastest, () => Session.open({ device: "metal" }));
  }
}

describeOnMetal("shaders are compiled before a program is loaded", () => {
  const { software } = theAddon();

  test("compile leaves the event loop free meanwhile, and loading compiles nothing more", async () => {
    const watch = new Watch();
    using session = await watch.open(fresh());
    using compiled = await session.compile(graph, { overrides });
    expect(watch).toMatchObject({ prepared: 1, compiledWhileLoaded: 0 });
    if (software) expect(watch.ticksWhilePrepared).toBeGreaterThan(10);
    const { y } = await compiled.run({ inputs: { x: new Float32Array(128) } });
    expect(y.get(0)).toBe(1 / 16);
  });

  test("a run of a graph that is not loaded yet does the same; compileSync does all of it at once", async () => {
    const watch = new Watch();
    using session = await watch.open(fresh());
    using later = await session.compile(graph);
    expect(watch.prepared).toBe(0);
    for (const [name, tensor] of Object.entries(overrides)) later.setParam(name, tensor);
    await later.run({ inputs: { x: new Float32Array(128) } });
    expect(watch).toMatchObject({ prepared: 1, compiledWhileLoaded: 0 });
    using another = await watch.open(fresh());
    using atOnce = another.compileSync(graph, { overrides });
    expect(watch.prepared).toBe(1);
    if (software) expect(watch.compiledWhileLoaded).toBeGreaterThan(0);
    expect(atOnce.runSync({ inputs: { x: new Float32Array(128) } }).y.get(0)).toBe(1 / 16);
  });

  test("a shader that does not compile rejects, in the words of the compiler", async () => {
    using session = await new Watch().open("constant int planted = ;\n");
    await expect(session.compile(graph, { overrides })).rejects.toMatchObject({
      name: "MetalError",
      code: "ERR_SHADER",
      message: expect.stringMatching(/^graph "layer": library ".*" does not compile:\n.*error: expected expression/s),
    });
    using device = openDevice();
    const missing = new HandMade().launch("nowhere", {});
    await expect(missing.on(device).prepare()).rejects.toMatchObject({
      kind: "shader",
      message: expect.stringContaining('function "nowhere"'),
    });
    expectNoFaults();
  });

  test("an aborted compile rejects with the reason, and the session goes on", async () => {
    const watch = new Watch();
    using session = await watch.open(fresh());
    const controller = new AbortController();
    watch.begun = () => controller.abort("enough");
    await expect(session.compile(graph, { overrides, signal: controller.signal })).rejects.toBe("enough");
    expect(watch.prepared).toBe(1);
    using compiled = await session.compile(graph, { overrides });
    expect(compiled.runSync({ inputs: { x: new Float32Array(128) } }).y.get(0)).toBe(1 / 16);
  });

  test("equal sources of programs that are prepared at the same time are compiled once", async () => {
    using device = openDevice();
    const before = software?.counters().libraries ?? 0;
    const text = source + fresh();
    const prepared = await Promise.all([text, text, text].map((t) => doubling(t).on(device).prepare()));
    if (software) expect(software.counters().libraries - before).toBe(1);
    const y = bytes(8);
    for (const program of prepared) {
      using loaded = program.load([undefined, undefined]);
      program[Symbol.dispose]();
      program[Symbol.dispose]();
      loaded.runSync(call(2, [f32(1, 2)], [y]));
      expect(values(y)).toEqual([2, 4]);
    }
  });

  test("what is closed meanwhile waits for the compiler", async () => {
    const device = openDevice();
    const preparing = doubling(source + fresh())
      .on(device)
      .prepare();
    device[Symbol.dispose]();
    using prepared = await preparing;
    expect(() => prepared.load([undefined, undefined])).toThrow("the device is closed");
    await expect(doubling(source).on(device).prepare()).rejects.toThrow("the device is closed");

    const watch = new Watch();
    const session = await watch.open(fresh());
    watch.begun = () => session[Symbol.dispose]();
    using compiled = await session.compile(graph, { overrides });
    expect(watch).toMatchObject({ prepared: 1, compiledWhileLoaded: 0 });
    expect(() => compiled.runSync({ inputs: { x: new Float32Array(128) } })).toThrow("used after it was disposed");
  });

  test("threads and processes that end meanwhile end in order", () => {
    const folder = mkdtempSync(join(tmpdir(), "rlxjs-"));
    try {
      const script = join(folder, "ending.cjs");
      writeFileSync(script, ending(fileURLToPath(new URL("../build/Release/rlxjs_metal.node", import.meta.url))));
      for (const how of ["exit", "fall off the end", "terminate"]) {
        const { status, stdout, stderr } = spawnSync(process.execPath, [script, how], { encoding: "utf8", timeout: 30_000 });
        expect({ how, status, stderr }).toEqual({ how, status: 0, stderr: "" });
        expect(stdout).toBe(how === "fall off the end" ? "begun\nended\n" : "begun\n");
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** A program that prepares another one, in a worker thread where that is to be terminated, and ends. */
const ending = (addon: string): string => `
const { Worker, isMainThread, parentPort } = require("node:worker_threads");
const how = process.argv[2];
if (isMainThread && how === "terminate") {
  const worker = new Worker(__filename, { argv: [how] });
  worker.on("message", (text) => {
    console.log(text);
    worker.terminate();
  });
} else {
  const { Device } = require(${JSON.stringify(addon)});
  const { words, functions, libraries } = ${JSON.stringify(doubling(source).encoded)};
  const [library] = libraries;
  const unknown = { ...library, source: library.source + "// " + process.pid + " " + Date.now() };
  const say = (text) => (parentPort ? parentPort.postMessage(text) : console.log(text));
  new Device(0, false).prepare(Float64Array.from(words), functions, [unknown]).then(() => say("ended"));
  say("begun");
  if (how === "exit") process.exit(0);
}
`;
