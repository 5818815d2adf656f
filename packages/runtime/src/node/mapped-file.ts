import { RlxError } from "@rlxjs/ir";
import type { MappedFile } from "../backend.ts";

/** What native addons export for files. */
export interface MappingAddon {
  readonly MappedFile: new (path: string) => NativeFile;
  /** Give the memory behind a view back as soon as no run or program uses it; the view's length becomes 0. */
  detach(view: Uint8Array<ArrayBuffer>): void;
}
export interface NativeFile {
  readonly size: number;
  view(offset: number, length: number): Uint8Array<ArrayBuffer>;
  close(): void;
}

/** Maps a file through an addon. Disposing it makes its views empty; pages that a loaded program reads stay until it is gone too. */
export function mapFile(addon: MappingAddon, path: string): MappedFile {
  const file = openFile(addon, path);
  const views = new Set<WeakRef<Uint8Array<ArrayBuffer>>>();
  const { size } = file;
  return {
    size,
    view: (offset, length) => {
      if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 0 || offset + length > size)
        throw new RlxError("ERR_FILE_RANGE", `${path}: expected a range within its ${size} bytes, got ${length} bytes at ${offset}`);
      const view = file.view(offset, length);
      views.add(new WeakRef(view));
      return view;
    },
    [Symbol.dispose]: () => {
      for (const ref of views) {
        const view = ref.deref();
        if (view) addon.detach(view);
      }
      views.clear();
      file.close();
    },
  };
}

function openFile(addon: MappingAddon, path: string): NativeFile {
  try {
    return new addon.MappedFile(path);
  } catch (error) {
    throw new RlxError("ERR_FILE", `cannot map ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
