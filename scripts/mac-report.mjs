// What `npm run test:mac` found, as text for people.

/**
 * @typedef {{ name: string, passed: number, failed: number, failures: { test: string, message: string }[] }} SuiteResult
 * @typedef {{ made: string, commit: string, node: string, system: Record<string, string>, devices: object[], suites: SuiteResult[],
 *   speed: Record<string, Record<string, unknown>>, problems: string[] }} MacReport
 */

/** @param {unknown} value @param {string} unit */
const number = (value, unit, digits = 1) => (typeof value === "number" ? `${value.toFixed(digits)} ${unit}` : "not measured");

/** Rows as aligned columns. @param {[string, string][]} rows */
function columns(rows) {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
}

/** One device's figures from `rlxjs bench --json`. @param {Record<string, unknown>} bench @returns {[string, string][]} */
function speedRows(bench) {
  const rows = [
    ["device", String(bench.device)],
    ["compile", number(bench.compileMs, "ms", 0)],
    [`prefill of ${bench.promptTokens}`, number(bench.prefillTokensPerSecond, "tokens/s")],
    [`decode of ${bench.generatedTokens}`, number(bench.decodeTokensPerSecond, "tokens/s")],
    ["bandwidth", number(bench.readBandwidth === null ? undefined : bench.readBandwidth / 1e9, "GB/s")],
  ];
  if (typeof bench.launchesPerToken !== "number") return rows;
  const count = (value) => (typeof value === "number" ? value.toFixed(1) : "?");
  rows.push(["GPU time per token", number(bench.gpuMicrosPerToken, "us", 0)]);
  rows.push([
    "launches, barriers, command buffers per token",
    [bench.launchesPerToken, bench.barriersPerToken, bench.commandBuffersPerToken].map(count).join(", "),
  ]);
  return rows;
}

/** @param {MacReport} report */
export function reportText({ made, commit, node, system, devices, suites, speed, problems }) {
  const failures = suites.flatMap(({ failures: list }) => list);
  return [
    `rlxjs on a Mac, ${made}`,
    "",
    ...columns([
      ["commit", commit],
      ["node", node],
      ...Object.entries(system),
      ...devices.map((d) => [`device ${d.device}`, d.description ?? `not available: ${d.unavailable}`]),
    ]),
    "",
    "Tests",
    ...columns(suites.map(({ name, passed, failed }) => [name, `${passed} passed, ${failed} failed`])),
    ...Object.entries(speed).flatMap(([name, bench]) => ["", name, ...columns(speedRows(bench))]),
    ...(problems.length > 0 ? ["", "Problems", ...problems.map((p) => `  ${p}`)] : []),
    ...(failures.length > 0
      ? ["", "Failed tests", ...failures.flatMap(({ test, message }) => [`  ${test}`, ...message.split("\n").map((line) => `    ${line}`)])]
      : []),
    "",
  ].join("\n");
}
