import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RlxError } from "@rlxjs/ir";

/** What is built ahead for this system, if anything is: `@rlxjs/native-linux-x64`. Package managers install it as an optional dependency. */
export const platformPackage = `@rlxjs/native-${process.platform}-${process.arch}`;

export interface AddonPlace {
  /** The addon's file, such as `rlxjs_cpu.node`. */
  readonly file: string;
  /** `import.meta.url` of a module in the `src` or `dist` of the package whose addon it is: the build lies in its `build/Release`. */
  readonly from: string;
}

/** Either the addon, or why there is none. */
export interface LoadedAddon<Addon> {
  readonly addon?: Addon;
  readonly reason?: string;
}

/** A native addon: of this checkout's own build where there is one, else of the platform's package. Loaded at the first use. */
export class NativeAddon<Addon> {
  readonly #file: string;
  readonly #require: NodeJS.Require;
  #build: string;
  #chosen = false;
  #loaded: LoadedAddon<Addon> | undefined;

  constructor({ file, from }: AddonPlace) {
    this.#file = file;
    this.#require = createRequire(from);
    this.#build = join(dirname(fileURLToPath(from)), "..", "build", "Release");
  }

  /** Take it from this build and from nowhere else. Before anything has opened a device. */
  useBuild(directory: string): void {
    if (this.#loaded && directory !== this.#build)
      throw new RlxError("ERR_ADDON", `native build ${directory}: the addon of ${this.#build} is loaded already`);
    this.#build = directory;
    this.#chosen = true;
  }

  load(): LoadedAddon<Addon> {
    this.#loaded ??= this.#open();
    return this.#loaded;
  }

  #open(): LoadedAddon<Addon> {
    const built = join(this.#build, this.#file);
    try {
      if (existsSync(built)) return { addon: this.#require(built) as Addon };
      if (this.#chosen) return { reason: `${built} does not exist` };
      const packaged = this.#packaged();
      if (packaged === undefined) return { reason: `${built} does not exist, and ${platformPackage} is not installed` };
      if (!existsSync(packaged)) return { reason: `${built} does not exist, and ${platformPackage} has no ${this.#file}` };
      return { addon: this.#require(packaged) as Addon };
    } catch (error) {
      return { reason: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Where the platform's package has, or would have, the file; undefined: it is not installed. */
  #packaged(): string | undefined {
    try {
      return join(dirname(this.#require.resolve(`${platformPackage}/package.json`)), this.#file);
    } catch {
      return undefined;
    }
  }
}
