// `npm run test:mac`: on a Mac, builds the Metal addon, runs the Metal suites on the real GPU, measures a few things, and writes a report
// (JSON, and text to read) to send back. Ends with 1 when a test failed. Elsewhere it says that it needs a Mac.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { arch, argv, execPath, exit, platform, stderr, stdout, version } from "node:process";
import { reportText } from "./mac-report.mjs";
import { root, setup } from "./setup.mjs";

if (platform !== "darwin" || arch !== "arm64") {
  stderr.write(
    `test:mac: needs a Mac with Apple silicon, this is ${platform} ${arch}; \`npm test\` runs the same suites on software Metal\n`,
  );
  exit(1);
}

/** The suites that open a Metal device. */
const suites = ["packages/backend-metal/test", "packages/cli/test/metal-golden.test.ts"];
const folder = join(root, ".cache", "mac-report");
/** @type {string[]} */
const problems = [];

/** A program's output, without the last line break; what goes wrong is a part of the report. */
function output(program, ...args) {
  const { status, stdout: text, stderr: message, error } = spawnSync(program, args, { cwd: root, encoding: "utf8" });
  if (status === 0) return text.trim();
  problems.push(`${[program, ...args].join(" ")}: ${error?.message ?? message.trim()}`);
  return "";
}
const rlxjs = (...args) => output(execPath, "packages/cli/bin/rlxjs.js", ...args);
const parsed = (text, otherwise) => (text === "" ? otherwise : JSON.parse(text));

/** What the machine and its GPU are. */
function system() {
  const displays = parsed(output("system_profiler", "SPDisplaysDataType", "-json"), {}).SPDisplaysDataType ?? [];
  const gpus = displays.map((gpu) =>
    [gpu.sppci_model, gpu.sppci_cores && `${gpu.sppci_cores} cores`, gpu.spdisplays_mtlgpufamilysupport].filter(Boolean).join(", "),
  );
  return {
    macOS: `${output("sw_vers", "-productVersion")} (${output("sw_vers", "-buildVersion")})`,
    model: output("sysctl", "-n", "hw.model"),
    processor: output("sysctl", "-n", "machdep.cpu.brand_string"),
    memory: `${(Number(output("sysctl", "-n", "hw.memsize")) / 2 ** 30).toFixed(0)} GiB`,
    GPU: gpus.join("; "),
  };
}

/** Runs a suite; its tests and what failed. */
function runSuite(name) {
  const file = join(folder, "tests.json");
  const args = ["node_modules/vitest/vitest.mjs", "run", name, "--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  writeFileSync(file, "{}");
  spawnSync(execPath, [...args, ...argv.slice(2)], { cwd: root, stdio: "inherit" });
  const { numPassedTests: passed = 0, numFailedTests: failed = 0, testResults = [] } = JSON.parse(readFileSync(file, "utf8"));
  if (passed + failed === 0) problems.push(`${name}: no test ran`);
  const failures = testResults.flatMap(({ assertionResults }) =>
    assertionResults
      .filter(({ status }) => status === "failed")
      .map(({ fullName, failureMessages }) => ({ test: fullName, message: failureMessages.join("\n") })),
  );
  return { name, passed, failed, failures };
}

setup();
mkdirSync(folder, { recursive: true });
const { status } = spawnSync("npm", ["run", "build:metal", "--silent"], { cwd: root, stdio: "inherit" });
if (status !== 0) {
  stderr.write("test:mac: the addon does not build; it needs the command line tools of Xcode (`xcode-select --install`) and cmake\n");
  exit(1);
}

const bench = (...flags) => parsed(rlxjs("bench", "--json", "--prompt", "256", "--gen", "128", ...flags), {});
const results = suites.map(runSuite);
const report = {
  made: new Date().toISOString(),
  commit: existsSync(join(root, ".git")) ? output("git", "rev-parse", "HEAD") : "no git checkout",
  node: version,
  system: system(),
  devices: parsed(rlxjs("devices", "--json"), []),
  suites: results,
  speed: {
    // The system keeps compiled shaders: the second run finds them.
    "Demo model on metal, first run": bench("--device", "metal"),
    "Demo model on metal, again": bench("--device", "metal"),
    "Demo model on cpu": bench(),
  },
  problems,
};
const base = join(folder, `rlxjs-metal-${report.made.replaceAll(":", "-").slice(0, 19)}`);
writeFileSync(`${base}.json`, `${JSON.stringify(report, undefined, 2)}\n`);
writeFileSync(`${base}.txt`, reportText(report));
stdout.write(`\n${reportText(report)}\nPlease send these two files back:\n  ${relative(root, base)}.txt\n  ${relative(root, base)}.json\n`);
exit(problems.length > 0 || results.some(({ failed }) => failed > 0) ? 1 : 0);
