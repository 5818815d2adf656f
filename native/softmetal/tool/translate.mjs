// Preprocessed MSL to C++ for OpenCL.
import { newestVersion } from "./flags.mjs";
import { readKernels } from "./kernels.mjs";
import { refuse } from "./refusals.mjs";
import { requiredConstants } from "./required-constants.mjs";
import { bfloatLiterals } from "./rewrites/bfloat-literals.mjs";
import { conditionalOperator } from "./rewrites/conditional-operator.mjs";
import { functionConstants } from "./rewrites/function-constants.mjs";
import { memberFunctions } from "./rewrites/member-functions.mjs";
import { threadReferences } from "./rewrites/thread-references.mjs";
import { threadgroupVariables } from "./rewrites/threadgroup-variables.mjs";
import { Source } from "./source.mjs";
import { thunks } from "./thunks.mjs";

/**
 * @param {string} text preprocessed source with its line markers
 * @param {number} [version] of the language, as __METAL_VERSION__
 * @returns the program (every line of `text` stays on its line, the launch code follows), its kernels, the offsets in `text` that the program's offsets came
 *   from, and what MSL does not allow
 */
export function translate(text, version = newestVersion) {
  const source = new Source(text);
  const entries = readKernels(source);
  const requires = requiredConstants(source);
  refuse(source, version);
  threadgroupVariables(source);
  const values = functionConstants(source);
  memberFunctions(source);
  threadReferences(source);
  bfloatLiterals(source);
  conditionalOperator(source);
  const { text: body, map } = source.render();
  return { program: `${body}\n${thunks(entries, values, requires)}`, kernels: entries.map(({ name }) => name), map, errors: source.errors };
}
