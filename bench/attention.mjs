// Decode attention over caches in every format: bytes read, GB/s, share of the read bandwidth measured in the same rounds, time against f16.
// Usage: node bench/attention.mjs [--threads N] [--rounds N] [--positions 4096,32768] [--dims 64,128,256] [--heads 32/8,8/8] [--formats f16,...]
//        [--layouts head,token] [--json]
import { createNativeBackend, defaultThreads, loadAddon } from "@rlxjs/backend-cpu";
import { define, encodeKvVector, kvFormatBytes, kvFormatCodec, parseKvFormat, q8Dim, Rng, Tensor } from "@rlxjs/ir";
import { Session } from "@rlxjs/runtime";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    threads: { type: "string", default: `${defaultThreads()}` },
    rounds: { type: "string", default: "7" },
    positions: { type: "string", default: "4096,32768" },
    dims: { type: "string", default: "64,128,256" },
    heads: { type: "string", default: "32/8,8/8" },
    formats: { type: "string", default: "f16,q8_0,tq4" },
    layouts: { type: "string", default: "head,token" },
    json: { type: "boolean", default: false },
  },
});
const list = (text) => text.split(",");
const threads = Number(options.threads);
/** The caches of a run are far larger than the last level of the processor's caches. */
const bytesPerRun = 192 * 2 ** 20;

const { addon, reason } = loadAddon();
if (!addon) throw new Error(`no native kernels: ${reason}`);
const session = await Session.open({ device: "cpu", threads, kernels: "native" });
const backend = createNativeBackend(addon, { threads });
const rng = new Rng(1);

/** A block of random head vectors as they are stored, repeated over the states of a cache. */
function vectors(format, headDim, count) {
  const codec = kvFormatCodec(format, headDim);
  const x = Float32Array.from(rng.normals(count * headDim));
  if (!codec) {
    const width = format === "q8_0" ? q8Dim(headDim) : headDim;
    const padded = new Float32Array(count * width);
    for (let i = 0; i < count; i++) padded.set(x.subarray(i * headDim, (i + 1) * headDim), i * width);
    return [Tensor.from(format, [count, width], padded).bytes];
  }
  const [packed, norms] = [new Uint8Array(count * codec.packedBytes), new Float32Array(count * codec.norms)];
  for (let i = 0; i < count; i++)
    encodeKvVector(
      codec,
      x.subarray(i * headDim, (i + 1) * headDim),
      packed.subarray(i * codec.packedBytes, (i + 1) * codec.packedBytes),
      norms.subarray(i * codec.norms, (i + 1) * codec.norms),
    );
  return [packed, new Uint8Array(norms.buffer)];
}

/** One decode step through `layers` caches of their own. */
class Decode {
  constructor({ positions, headDim, heads: [numHeads, numKvHeads], layout, format: name }) {
    const format = parseKvFormat(name);
    const codec = kvFormatCodec(format, headDim);
    const layerBytes = 2 * positions * numKvHeads * kvFormatBytes(format, headDim);
    const layers = Math.max(2, Math.ceil(bytesPerRun / layerBytes));
    this.name = name;
    this.bytes = layers * layerBytes;
    this.times = [];
    const shape = (width) => (layout === "token" ? [1, positions, numKvHeads * width] : [1, numKvHeads, positions, width]);
    const width = format === "q8_0" ? q8Dim(headDim) : headDim;
    const attrs = { numHeads, numKvHeads, headDim, kvLayout: layout, causal: true, ...(codec ? { kCodec: format, vCodec: format } : {}) };
    const graph = define("decode", (g) => {
      let y = g.input("q", "f32", [1, 1, numHeads * headDim]);
      for (let i = 0; i < layers; i++) {
        const side = (s) => g.state(`${s}${i}`, codec ? "u8" : format, shape(codec ? codec.packedBytes : width));
        const norms = (s) => (codec ? { [`${s}Norms`]: g.state(`${s}Norms${i}`, "f32", shape(codec.norms)) } : {});
        y = g.attention(y, side("k"), side("v"), { ...attrs, ...norms("k"), ...norms("v") });
      }
      return { y };
    });
    this.compiled = session.compileSync(graph);
    this.state = session.createState(this.compiled);
    const blocks = vectors(format, headDim, 256);
    for (const { name, dtype, shape } of graph.nodes.filter((n) => n.op === "state").map((n) => n.attrs)) {
      const tensor = Tensor.zeros(dtype, shape);
      const block = blocks[name.includes("Norms") ? 1 : 0];
      for (let at = 0; at < tensor.bytes.length; at += block.length) tensor.bytes.set(block.subarray(0, tensor.bytes.length - at), at);
      this.state.write(name, tensor);
    }
    this.q = Float32Array.from(rng.normals(numHeads * headDim));
  }
  run() {
    const started = performance.now();
    this.compiled.runSync({ inputs: { q: this.q }, state: this.state });
    this.times.push((performance.now() - started) / 1000);
  }
  dispose() {
    this.state[Symbol.dispose]();
    this.compiled[Symbol.dispose]();
  }
}

const median = (xs) => xs.toSorted((a, b) => a - b)[xs.length >> 1];
const results = [];
for (const positions of list(options.positions).map(Number))
  for (const headDim of list(options.dims).map(Number))
    for (const heads of list(options.heads).map((h) => h.split("/").map(Number))) {
      const runs = list(options.layouts).flatMap((layout) =>
        list(options.formats).map((format) => ({ layout, decode: new Decode({ positions, headDim, heads, layout, format }) })),
      );
      for (const { decode } of runs) decode.run();
      for (const { decode } of runs) decode.times.length = 0;
      const bandwidths = [];
      for (let round = 0; round < Number(options.rounds); round++) {
        bandwidths.push(backend.measureBandwidth(2 ** 27));
        for (const { decode } of runs) decode.run();
      }
      const bandwidth = median(bandwidths);
      for (const { layout, decode } of runs) {
        const base = runs.find((r) => r.layout === layout && r.decode.name === "f16")?.decode ?? decode;
        const perByte = (d, i) => d.times[i] / d.bytes;
        const vectorsOf = (d) => d.bytes / kvFormatBytes(parseKvFormat(d.name), headDim);
        // Seconds for as many vectors as f16 reads, round by round.
        const against = decode.times.map((t, i) => t / vectorsOf(decode) / (base.times[i] / vectorsOf(base)));
        const rate = 1 / median(decode.times.map((_, i) => perByte(decode, i)));
        results.push({
          positions,
          headDim,
          heads: heads.join("/"),
          layout,
          format: decode.name,
          megabytes: decode.bytes / 2 ** 20,
          gigabytesPerSecond: rate / 1e9,
          share: rate / bandwidth,
          bandwidth: bandwidth / 1e9,
          timeOfF16: median(against),
        });
        if (!options.json) print(results.at(-1));
        decode.dispose();
      }
    }
if (options.json) console.log(JSON.stringify({ threads, device: backend.info.description, results }, null, 2));

function print(r) {
  if (results.length === 1)
    console.log(`${backend.info.description}\npositions  D  heads  layout  format   MB read   GB/s  bandwidth  share  time / f16`);
  const cells = [
    `${r.positions}`.padStart(9),
    `${r.headDim}`.padStart(3),
    r.heads.padStart(5),
    r.layout.padStart(6),
    r.format.padStart(6),
    r.megabytes.toFixed(0).padStart(8),
    r.gigabytesPerSecond.toFixed(1).padStart(6),
    r.bandwidth.toFixed(1).padStart(9),
    `${(100 * r.share).toFixed(0)} %`.padStart(6),
    r.timeOfF16.toFixed(2).padStart(10),
  ];
  console.log(cells.join("  "));
}
backend[Symbol.dispose]();
session[Symbol.dispose]();
