import { RlxError } from "@rlxjs/ir";

/** Something that the user gave and that cannot be used. */
export class InputError extends RlxError {
  constructor(message: string) {
    super("ERR_INPUT", message);
  }
}

/** Ctrl-C. */
export class InterruptError extends RlxError {
  constructor() {
    super("ERR_INTERRUPTED", "interrupted");
  }
}

/** A file system error such as ENOENT: the user's, not ours. */
export const isSystemError = (error: unknown): error is NodeJS.ErrnoException & { code: string } =>
  error instanceof Error && "syscall" in error && "code" in error && typeof error.code === "string";
