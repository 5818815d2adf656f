import { RlxError } from "@rlxjs/ir";
import { CommanderError } from "commander";
import { InterruptError, isSystemError } from "./errors.ts";
import { program } from "./program.ts";

/** Exit codes: 0 done, 1 a mistake of ours, 2 bad input, 130 Ctrl-C. */
export async function main(args: readonly string[]): Promise<void> {
  // A reader that has seen enough (`rlxjs run | head -1`) is no error.
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit(0);
      throw error;
    });
  try {
    await program().parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = report(error);
  }
}

function report(error: unknown): number {
  // Commander has already said it, in one line.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof InterruptError) return 130;
  const known = error instanceof RlxError || isSystemError(error);
  const message = error instanceof Error ? error.message : String(error);
  if (known) process.stderr.write(`rlxjs: ${message.replaceAll(/\s*\n\s*/g, " ")}\n`);
  else process.stderr.write(`rlxjs: a bug in rlxjs, please report it: ${error instanceof Error ? error.stack : message}\n`);
  return known ? 2 : 1;
}
