import { showShape } from "@rlxjs/ir";
import type { CompiledGraph } from "./compiled-graph.ts";
import type { Outputs, RunOptions } from "./run-options.ts";

/** One step in Chrome's trace event format; times in microseconds. */
export interface TraceEvent {
  readonly name: string;
  readonly cat: string;
  readonly ph: "X";
  readonly ts: number;
  readonly dur: number;
  readonly pid: 1;
  readonly tid: 1;
  readonly args: Readonly<Record<string, string | number>>;
}
/** What chrome://tracing and Perfetto read, as JSON. */
export interface Trace {
  readonly displayTimeUnit: "ms";
  readonly traceEvents: readonly TraceEvent[];
}

/** Run once and time every step of the program. */
export async function traceRun<Out extends string>(
  compiled: CompiledGraph<Out>,
  options: Omit<RunOptions<Out>, "trace"> = {},
): Promise<{ readonly outputs: Outputs<Out>; readonly trace: Trace }> {
  let micros: Float64Array = new Float64Array();
  const outputs = await compiled.run({
    ...options,
    trace: (times) => {
      micros = times;
    },
  });
  let ts = 0;
  const traceEvents = compiled.program.steps.map(({ op, kernel, origin, label, outputs: made }, step): TraceEvent => {
    const dur = micros[step] ?? 0;
    const shapes = made.map((o) => `${o.dtype}${showShape(o.shape)}`).join(" ");
    const args = { step, kernel, shapes, ...(origin === undefined ? {} : { origin }), ...(label === undefined ? {} : { label }) };
    const event: TraceEvent = { name: op, cat: kernel === "reference" ? "host" : "native", ph: "X", ts, dur, pid: 1, tid: 1, args };
    ts += dur;
    return event;
  });
  return { outputs, trace: { displayTimeUnit: "ms", traceEvents } };
}
