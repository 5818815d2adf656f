// Compiler messages in terms of the file that a person wrote.
import { originalOffset } from "./locations.mjs";

/** @typedef {import("./locations.mjs").Place & { severity: string, message: string }} Diagnostic */

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
  return output.split("\n").flatMap((text) => {
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
