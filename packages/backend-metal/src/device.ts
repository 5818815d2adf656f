import type { DeviceBuffer, MappedFile } from "@rlxjs/runtime";
import { mapFile } from "@rlxjs/runtime/node";
import type { DeviceDescription, MetalAddon, NativeDevice } from "./addon.ts";
import { MetalError, onDevice } from "./errors.ts";

export interface MetalDeviceOptions {
  /** At most so many bytes of a mapped file lie in one buffer of the device; default: as many as the device can. */
  readonly maxMappedBytes?: number;
  /** Captures, as Xcode makes them, name each launch by its step. Takes about a microsecond per launch; default false. */
  readonly labels?: boolean;
}

/** An opened device and its memory. */
export class MetalDevice implements Disposable {
  readonly native: NativeDevice;
  readonly description: DeviceDescription;
  readonly #addon: MetalAddon;
  /** Copies of weights that lie elsewhere, by the array that they were copied from and the range within it. */
  readonly #copies = new WeakMap<ArrayBuffer, Map<string, Uint8Array<ArrayBuffer>>>();

  constructor(addon: MetalAddon, options: MetalDeviceOptions = {}) {
    this.#addon = addon;
    this.native = open(addon, options);
    this.description = this.native.describe();
  }

  /** Zeroed memory that the CPU and the GPU share. */
  allocate(bytes: number): DeviceBuffer {
    const memory = onDevice("metal", () => this.native.allocate(bytes));
    return { bytes: memory, [Symbol.dispose]: () => this.#addon.detach(memory) };
  }

  mapFile(path: string): MappedFile {
    return mapFile(this.#addon, path);
  }

  /** A weight where programs can use it: in place if it lies in a mapped file or in memory of the device, else a copy that all programs share. */
  resident(weight: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    if (this.native.holds(weight)) return weight;
    const copies = this.#copies.get(weight.buffer) ?? new Map<string, Uint8Array<ArrayBuffer>>();
    this.#copies.set(weight.buffer, copies);
    const range = `${weight.byteOffset} ${weight.byteLength}`;
    const known = copies.get(range);
    // Its owner may have written into it since.
    if (known && Buffer.compare(known, weight) === 0) return known;
    const copy = onDevice("metal", () => this.native.allocate(weight.byteLength));
    copy.set(weight);
    copies.set(range, copy);
    return copy;
  }

  [Symbol.dispose](): void {
    this.native.close();
  }
}

function open(addon: MetalAddon, { maxMappedBytes = 0, labels = false }: MetalDeviceOptions): NativeDevice {
  try {
    return new addon.Device(maxMappedBytes, labels);
  } catch (error) {
    throw new MetalError("metal", "lost", error instanceof Error ? error.message : String(error));
  }
}
