import { RlxError } from "@rlxjs/ir";

/** Refuse ids that are not of the vocabulary. */
export function checkIds(ids: readonly number[], vocabSize: number): void {
  ids.forEach((id, i) => {
    if (!Number.isSafeInteger(id) || id < 0 || id >= vocabSize)
      throw new RlxError("ERR_TOKENS", `token ${i}: expected an id from 0 to ${vocabSize - 1}, got ${id}`);
  });
}
