import type { BucketLease } from "@rlxjs/runtime";
import { ensureCrossAttn } from "./cross-attention.ts";
import { type CheckedCall, checkCall, fullLayer } from "./decode-call.ts";
import {
  checkRoom,
  type KvDecodeOptions,
  type KvDecodeResult,
  type KvStepOptions,
  type FindBucket,
  needBucket,
  newRowsOf,
  keepAll,
  type RanStep,
  resultOf,
  rowOutputs,
  runOptions,
} from "./decode-step.ts";
import { type GpuKvBinding, syncGpuKvToHost } from "./gpu-binding.ts";
import { decodeLayout } from "./graph-layout.ts";

export interface Resident extends KvStepOptions {
  /** Where the rows live on the device between calls. */
  readonly binding: GpuKvBinding;
}
export interface KvDecodeGpuOptions extends KvDecodeOptions, Resident {
  /** Take all rows from the host again; they have to be there. */
  readonly refreshKv?: boolean;
}

/** A bucket for a call that fits it. */
export interface ChosenBucket {
  readonly lease: BucketLease;
  readonly call: CheckedCall;
  /** Whether the graph's memory has room for the new rows. */
  readonly room: boolean;
}

/**
 * One step with the rows on the device: new ones are written or fed to where they belong, and the host reads the logits. At the end of a
 * bucket the step runs in the next one, which has room for its rows. When there is none, the rows go to the host.
 */
export async function stepOnDevice(what: string, find: FindBucket, options: KvDecodeGpuOptions): Promise<KvDecodeResult> {
  return keepAll(await runResident(what, find, options));
}

/** The same without an end: its rows can be kept or not. */
export async function runResident(what: string, find: FindBucket, options: KvDecodeGpuOptions): Promise<RanStep> {
  if (options.refreshKv) options.kv.leaveDevice();
  return runOnDevice(await choose(what, find, options), options);
}

/** A step in a bucket that is chosen: its rows lie behind those of the cache on the device, and can become part of it or not. */
export async function runOnDevice({ lease, call, room }: ChosenBucket, options: Resident): Promise<RanStep> {
  const { kv, binding, crossAttn } = options;
  const { compiled } = lease;
  const { layout } = call;
  try {
    checkRoom(compiled, call);
    if (crossAttn) ensureCrossAttn(compiled, crossAttn, kv.onDevice?.place.compiled);
  } catch (error) {
    lease[Symbol.dispose]();
    throw error;
  }
  const place = binding.enter(kv, lease);
  const run = { ...runOptions(call, options), inputs: call.inputs };
  const { newRows } = call;
  if (room || layout.form === "state") {
    const outputs = await compiled.run({ ...run, ...place.runOptions(call) });
    return { result: resultOf(call, kv, outputs), newRows, commit: (rows) => kv.advanceOnDevice(rows) };
  }
  const outputs = await compiled.run({ ...run, keep: rowOutputs(layout) });
  const { layersK, layersV } = newRowsOf(compiled, layout, call);
  const commit = (count: number): void => {
    syncGpuKvToHost(kv);
    kv.append(layersK, layersV, { count });
  };
  return { result: resultOf(call, kv, outputs), newRows, commit };
}

async function choose(what: string, find: FindBucket, options: KvDecodeGpuOptions): Promise<ChosenBucket> {
  const first = checked(await needBucket(what, options.kv.pastLen, find, options), options);
  if (first.room) return first;
  const next = await find(options.kv.pastLen + first.call.newRows).catch((error) => {
    first.lease[Symbol.dispose]();
    throw error;
  });
  if (!next) return first;
  first.lease[Symbol.dispose]();
  return checked(next, options);
}

/** Check the call against a bucket's graph; ends the lease when that fails. */
export function checked(lease: BucketLease, options: Resident): ChosenBucket {
  try {
    const layout = decodeLayout(lease.compiled);
    const call = checkCall(lease.compiled, layout, options.kv, options);
    return { lease, call, room: !fullLayer(layout, call.spans, ({ past, newRows }) => past + newRows) };
  } catch (error) {
    lease[Symbol.dispose]();
    throw error;
  }
}
