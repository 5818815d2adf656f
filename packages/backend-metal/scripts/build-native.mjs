// Builds the Metal addon into build/Release/rlxjs_metal.node: on a Mac against its frameworks, on Linux against software Metal, for tests.
// `--sanitize` (Linux) builds with AddressSanitizer and UndefinedBehaviorSanitizer into build/sanitize/Release/ instead.
import { resolve } from "node:path";
import { platform, stderr } from "node:process";
import { fileURLToPath } from "node:url";
import { missingTools } from "../../../native/softmetal/tool/toolchain.mjs";
import { buildAddon } from "../../../scripts/native-build.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const software = platform === "linux";
const sanitize = process.argv.includes("--sanitize");

if (!software && platform !== "darwin") {
  stderr.write(`build: the Metal addon is left out: there is neither Metal nor software Metal on ${platform}\n`);
  process.exit();
}
const missing = software ? missingTools() : [];
if (missing.length > 0) {
  stderr.write(`build: the Metal addon is left out: ${missing.join("; ")}. \`npm run setup:softmetal\` installs what it takes.\n`);
  process.exit();
}
const compilers = { CC: "clang-19", CXX: "clang++-19", OBJCXX: "clang++-19" };
process.exit(
  buildAddon({
    root,
    source: resolve(root, "../../native/metal"),
    out: resolve(root, sanitize ? "build/sanitize" : "build"),
    define: { RLX_SANITIZE: sanitize ? "ON" : "OFF" },
    ...(software ? { variables: compilers } : {}),
  }),
);
