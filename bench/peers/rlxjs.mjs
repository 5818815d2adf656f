// rlxjs behind the same few calls as llama-cpp.mjs, through its public interface.
import "@rlxjs/backend-cpu";
import { loadModel } from "@rlxjs/models-core/node";

export async function loadRlxjs(path, { threads, context }) {
  let compileStart = 0;
  const onProgress = ({ phase, done }) => {
    if (phase === "compile" && done === 0) compileStart = performance.now();
  };
  const model = await loadModel(path, { threads, contextLength: context, onProgress });
  return {
    compileMs: performance.now() - compileStart,
    /** Greedy continuation: its ids, and the milliseconds until the first of them and for the others. */
    async generate(ids, count) {
      const out = [];
      let summary;
      for await (const piece of model.generate(ids, { maxTokens: count, stopTokens: [], temperature: 0 })) {
        out.push(...piece.ids);
        summary = piece.summary;
      }
      return { ids: out, prefillMs: summary.prefillMs, decodeMs: summary.decodeMs };
    },
    /** Logits after the last id. */
    async lastLogits(ids) {
      const logits = await model.logits(ids);
      return logits.data.subarray(-model.config.vocabSize);
    },
    dispose: () => model[Symbol.dispose](),
  };
}
