import type { Backend } from "./backend.ts";
import { UseAfterDisposeError } from "./errors.ts";

/** An open backend, shared by a session and what it made; closed when the session is disposed and the last user is done. */
export class OpenDevice {
  readonly #backend: Backend;
  #users = 1;
  #closed = false;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** The backend; an error once the session is disposed. */
  get backend(): Backend {
    if (this.#closed) throw new UseAfterDisposeError(`the session of device "${this.#backend.info.device}"`);
    return this.#backend;
  }

  /** Keep the backend open; returns how to end that, which may be called once. */
  retain(): () => void {
    this.#users++;
    return () => this.#release();
  }

  /** The session's own end. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#release();
  }

  /** The session was collected without being disposed: what it made stays usable. */
  abandon(): void {
    if (!this.#closed) this.#release();
  }

  #release(): void {
    if (--this.#users === 0) this.#backend[Symbol.dispose]();
  }
}
