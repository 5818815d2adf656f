import type { Session } from "@rlxjs/runtime";

/** How a suite opens the device that it is run on; it closes the session itself. Suites are called within a `describe`. */
export type OpenSession = () => Promise<Session>;
