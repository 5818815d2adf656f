// Builds the native addon into build/Release/rlxjs_cpu.node.
// `--sanitize` builds with AddressSanitizer and UndefinedBehaviorSanitizer into build/sanitize/Release/ instead.
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildAddon } from "../../../scripts/native-build.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const sanitize = process.argv.includes("--sanitize");
process.exit(
  buildAddon({
    root,
    source: resolve(root, "../../native"),
    out: resolve(root, sanitize ? "build/sanitize" : "build"),
    define: { RLX_SANITIZE: sanitize ? "ON" : "OFF" },
  }),
);
