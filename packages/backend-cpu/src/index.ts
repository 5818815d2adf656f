import { registerBackend } from "@rlxjs/runtime";
import { createReferenceBackend } from "./reference/backend.ts";

export { createReferenceBackend } from "./reference/backend.ts";
export { type Memory, ReferenceSteps } from "./reference/steps.ts";

registerBackend("cpu", async () => createReferenceBackend());
