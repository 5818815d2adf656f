// The ways in which tests run Metal. On a Mac: its GPU. On Linux: software Metal, kernels compiled with and without checks, threads in three orders.
import {
  createMetalBackend,
  loadMetalAddon,
  type MetalBackend,
  type MetalOptions,
  type SoftwareFault,
  type SoftwareOptions,
} from "@rlxjs/backend-metal";
import { Session, type SessionOptions } from "@rlxjs/runtime";
import { afterAll, describe, expect } from "vitest";
import { missingTools } from "../../../native/softmetal/tool/toolchain.mjs";
import { describeWhere } from "../../../native/softmetal/test/toolchain.ts";

const { addon, reason } = loadMetalAddon();

export interface Variant {
  readonly name: string;
  /** Undefined: the machine's own device. */
  readonly software?: SoftwareOptions;
}

const softwareVariants: readonly Variant[] = [false, true].flatMap((check) =>
  (["forward", "reverse", "random"] as const).map((order) => ({
    name: `${check ? "checked" : "fast"}, ${order}`,
    software: { check, order, seed: 7 },
  })),
);
export const variants: readonly Variant[] = addon && !addon.software ? [{ name: "the machine's GPU" }] : softwareVariants;
/** For tests that are about the host and not about kernels: one that tells most. */
export const strictest = variants.at(-1) ?? { name: "none" };
/** For tests of whole models, after the kernels' own. */
export const fastest = variants[0] ?? strictest;

/** Tests that need a Metal device. Where there is none they say so, and how to get one; in CI that is a failure. */
export function describeOnMetal(title: string, tests: () => void): void {
  const tools = process.platform === "linux" ? missingTools() : [];
  const missing = [...tools, ...(addon ? [] : [`no addon (${reason})`])];
  describeWhere(missing, "npm run setup:softmetal && npm run build:metal", title, tests);
}
/** The same once per variant. */
export const describeVariants = (title: string, tests: (variant: Variant) => void): void =>
  describeOnMetal(title, () => {
    for (const variant of variants) describe(variant.name, () => tests(variant));
  });

/** What `open` gives on a variant: software Metal takes its options when a device is opened. */
export function configured<T>({ software }: Variant, open: () => T): T {
  if (software) addon?.software?.configure(software);
  return open();
}

/** A backend of its own. */
export function createVariant(variant: Variant, options: MetalOptions = {}): MetalBackend {
  if (!addon) throw new Error(`no addon for Metal: ${reason}`);
  return configured(variant, () => createMetalBackend(addon, options));
}

const opened = new Map<string, MetalBackend>();
/** The backend of a variant, the same one in all tests of a file. */
export function backendOf(variant: Variant): MetalBackend {
  const backend = opened.get(variant.name) ?? createVariant(variant);
  opened.set(variant.name, backend);
  return backend;
}
afterAll(() => {
  for (const backend of opened.values()) backend[Symbol.dispose]();
  opened.clear();
});

/** A session on a variant. */
export const openSession = (variant: Variant, options: Omit<SessionOptions, "device"> = {}): Promise<Session> =>
  configured(variant, () => Session.open({ device: "metal", ...options }));

/** What kernels and the host did wrong since the last call, as software Metal sees it; of a real device, nothing is known. */
export const takeFaults = (): readonly SoftwareFault[] => addon?.software?.takeFaults() ?? [];
export const expectNoFaults = (): void => expect(takeFaults()).toEqual([]);
