// Compiler messages in terms of the file that a person wrote.
import { originalOffset } from "./locations.mjs";

/** @typedef {import("./locations.mjs").Place & { severity: string, message: string }} Diagnostic */

/** The name under which clang sees the functions that call kernels. */
export const launchCode = "(launch code)";

const pattern = /^(.*?):(\d+):(\d+): (fatal error|error|warning|note): (.*)$/;

/**
 * @param {string} output of clang with -fno-caret-diagnostics
 * @param {import("./locations.mjs").Locations} locations
 * @param {string} program the rewritten text that clang saw
 * @param {{ out: number, original: number }[]} map
 * @returns {Diagnostic[]}
 */
export function readDiagnostics(output, locations, program, map) {
  const starts = [0];
  for (const { index } of program.matchAll(/\n/g)) starts.push(index + 1);
  const all = output.split("\n").flatMap((text) => {
    const match = pattern.exec(text);
    if (match === null) return [];
    const [, file, line, column, severity, message] = match;
    const row = locations.byOrigin.get(`${file}:${line}`);
    const place =
      row === undefined
        ? { file, line: Number(line), column: Number(column) }
        : locations.placeOf(originalOffset(map, starts[row] + Number(column) - 1));
    return [{ ...place, severity, message }];
  });
  return inUserTerms(all);
}

/** @param {Diagnostic} diagnostic */
const ofTheShim = ({ file }) => file.includes("/shim/") || file === launchCode;

/**
 * What clang found in the shim is told at the place that led there: the first note about the user's own source. Errors of the launch code follow from others.
 * @param {Diagnostic[]} diagnostics
 */
function inUserTerms(diagnostics) {
  /** @type {Diagnostic[]} */
  const told = [];
  diagnostics.forEach((diagnostic, i) => {
    if (!ofTheShim(diagnostic)) told.push(diagnostic);
    if (diagnostic.severity === "note" || !ofTheShim(diagnostic)) return;
    const next = diagnostics.findIndex(({ severity }, k) => k > i && severity !== "note");
    const cause = diagnostics.slice(i + 1, next < 0 ? undefined : next).find((note) => !ofTheShim(note));
    if (cause !== undefined) told.push({ ...cause, severity: diagnostic.severity, message: diagnostic.message });
  });
  return told.some(({ severity }) => severity !== "note") ? told : diagnostics;
}

/** As compilers print them: the message, the line, a caret. @param {Diagnostic[]} diagnostics @param {import("./locations.mjs").Locations} locations */
export function printDiagnostics(diagnostics, locations) {
  return diagnostics
    .map(({ file, line, column, severity, message }) => {
      const source = locations.lineOf(file, line);
      const caret = source === "" ? "" : `\n${source}\n${source.slice(0, column - 1).replace(/[^\t]/g, " ")}^`;
      return `${file}:${line}:${column}: ${severity}: ${message}${caret}\n`;
    })
    .join("");
}
