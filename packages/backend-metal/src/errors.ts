import { RlxError } from "@rlxjs/ir";
import { isNativeFailure, type NativeFailure } from "./addon.ts";

/** What went wrong on the device; see MetalError. */
export type MetalErrorKind = Exclude<NativeFailure["kind"], "refused">;

const codes: Readonly<Record<MetalErrorKind, string>> = {
  shader: "ERR_SHADER",
  invalid: "ERR_RUN",
  memory: "ERR_DEVICE_MEMORY",
  lost: "ERR_DEVICE_LOST",
  fault: "ERR_DEVICE_FAULT",
};

/**
 * What the device could not do. `shader`: its compiler refused a library or a function; `memory`: there is none left; `lost`: it takes no work
 * any more; `fault`: a kernel did what it must not; `invalid`: a program or a call that does not fit its buffers.
 */
export class MetalError extends RlxError {
  readonly kind: MetalErrorKind;
  constructor(where: string, kind: MetalErrorKind, message: string) {
    super(codes[kind], `${where}: ${message}`);
    this.kind = kind;
  }
}

/** Calls native code; what it throws becomes a MetalError. */
export function onDevice<T>(where: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw ofDevice(where, error);
  }
}

/** What native code threw as a MetalError; anything else as it is. */
export const ofDevice = (where: string, error: unknown): unknown =>
  isNativeFailure(error) && error.kind !== "refused" ? new MetalError(where, error.kind, error.message) : error;
