import { decodePromptCache, encodePromptCache } from "../prompt-cache/format.ts";
import type { PromptCache, PromptCacheOptions } from "../prompt-cache/prompt-cache.ts";
import { openFile, writeFileAtomically } from "./files.ts";

/** Write a prompt cache to a file, which appears when all of it is written. The cache must not be used meanwhile. */
export async function savePromptCache(path: string, cache: PromptCache, signal?: AbortSignal): Promise<void> {
  await writeFileAtomically(
    path,
    async (sink) => {
      for await (const piece of encodePromptCache(cache)) await sink.write(piece);
    },
    signal,
  );
}

/** Read what `savePromptCache` wrote: see `decodePromptCache` for what is refused. ModelFileError when there is no such file. */
export async function loadPromptCache(path: string, options: PromptCacheOptions = {}): Promise<PromptCache> {
  using file = await openFile(path);
  return decodePromptCache(await file.read(0, file.size), options);
}
