import { InterruptError } from "./errors.ts";

/** A signal that Ctrl-C aborts. A second Ctrl-C ends the process at once, as it does by default. */
export function onInterrupt(): AbortSignal {
  const controller = new AbortController();
  process.once("SIGINT", () => controller.abort(new InterruptError()));
  return controller.signal;
}
