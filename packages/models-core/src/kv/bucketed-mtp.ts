import type { Tensor } from "@rlxjs/ir";
import type { BucketBuild, GraphWithParams } from "@rlxjs/runtime";
import { signalOf } from "./bucketed-decode.ts";
import { callsOf, reserve } from "./decode-call.ts";
import { type KvDecodeOptions, needBucket, type RanStep, runOnHost } from "./decode-step.ts";
import { checkCount, KvStateError } from "./errors.ts";
import type { HostLayers } from "./kv-place.ts";
import type { KvCacheState } from "./kv-state.ts";
import { type KvDecodeGpuOptions, runResident } from "./resident-step.ts";

/*
 * Several rows in one run that may or may not become part of the past: a block of tokens that are predicted together, or guesses that are
 * checked. Which rows see each other is `mask.newRows`.
 */

export interface MtpResult {
  /** [batch, newRows, vocab]: all rows. */
  readonly logits: Tensor;
  /** Outputs that are neither logits nor rows of the cache, by name. */
  readonly aux: Readonly<Record<string, Tensor>>;
  readonly newRows: number;
  /** Positions that the graph that ran has room for. */
  readonly upper: number;
  /**
   * Append the first `rows` of the new rows (default: all) to the cache, which is as before until then. KvStateError when the cache has been
   * run or changed meanwhile, or a second time.
   */
  commit(rows?: number): void;
}

/** Run a block of rows behind the cache, which stays on the host and as it is. Gives its keys and values, per layer [batch, newRows, kvDim]. */
export async function runBucketedKvMtp(
  options: KvDecodeOptions & { readonly build: BucketBuild<GraphWithParams> },
): Promise<MtpResult & HostLayers> {
  const { cache, build, kv } = options;
  using _ = reserve(kv);
  const find = (key: number) => cache.ensureGraphWithParams(key, build, signalOf(options));
  using lease = await needBucket(`past ${kv.pastLen}`, kv.pastLen, find, options);
  const step = await runOnHost(lease.compiled, options);
  return { ...uncommitted(step, kv), ...step.rows };
}

/** The same with the rows of the cache on the device: committing rows is a change of its length there. */
export async function runBucketedKvMtpGpu(
  options: KvDecodeGpuOptions & { readonly build: BucketBuild<GraphWithParams> },
): Promise<MtpResult> {
  const { cache, build, kv } = options;
  using _ = reserve(kv);
  const step = await runResident(`past ${kv.pastLen}`, (key) => cache.ensureGraphWithParams(key, build, signalOf(options)), options);
  return uncommitted(step, kv);
}

function uncommitted({ result, newRows, commit }: RanStep, kv: KvCacheState): MtpResult {
  const { logits, aux, upper } = result;
  const { pastLen, changes } = kv;
  const call = callsOf(kv);
  let open = true;
  return {
    logits,
    aux,
    newRows,
    upper,
    commit(rows = newRows) {
      checkCount("commit", rows, 0, newRows);
      if (!open || kv.changes !== changes || callsOf(kv) !== call)
        throw new KvStateError(`commit: expected the cache as the block found it (${pastLen} positions), got one that went on`);
      open = false;
      commit(rows);
    },
  };
}
