// The tail of the translated source: one function per kernel that calls it with the arguments of a context, and the table that describes the library.

import { launchCode } from "./diagnostics.mjs";

/** @typedef {import("./kernels.mjs").Argument} Argument */
/** @typedef {import("./kernels.mjs").EntryPoint} EntryPoint */
/** @typedef {import("./rewrites/function-constants.mjs").FunctionConstant} FunctionConstant */
/** @typedef {import("./rewrites/function-constants.mjs").DerivedConstant} DerivedConstant */

const access = { none: "MSL_NO_ACCESS", constant: "MSL_CONSTANT_SPACE", read: "MSL_READ", write: "MSL_READ_WRITE" };

/** Where a thunk takes an argument from. @param {Argument} argument */
function sourceOf({ kind, index, builtin }) {
  if (kind === "buffer") return `memory{c->buffers[${index}]}`;
  if (kind === "threadgroup") return `memory{c->threadgroups[${index}]}`;
  return `${kind}{c->${builtin}}`;
}

/** The row of the table. @param {EntryPoint} entry @param {number} i @param {FunctionConstant[]} constants */
function describe(entry, i, constants) {
  const argument = entry.kernel.arguments[i];
  if (argument.kind !== "buffer" && argument.kind !== "threadgroup") return "{MSL_BUILTIN, 0, MSL_NO_ACCESS, -1, 0, 1}";
  const guard = constants.find(({ name }) => name === argument.guard)?.index ?? "-1";
  const type = `(${entry.expression})`;
  return `{MSL_${argument.kind.toUpperCase()}, ${argument.index}, ${access[argument.access]}, ${guard}, msl_launch::min_bytes<${i}>${type}, msl_launch::alignment<${i}>${type}}`;
}

/** A table that may be empty: C++ has no arrays of length 0. @param {string} type @param {string} name @param {string[]} rows */
const table = (type, name, rows) => `static __global const ${type} ${name}[] = {${rows.length > 0 ? rows.join(", ") : "{}"}};`;

/**
 * @param {EntryPoint[]} entries @param {{ constants: FunctionConstant[], derived: DerivedConstant[] }} values
 * @param {(entry: EntryPoint, constants: FunctionConstant[]) => FunctionConstant[]} requires
 */
export function thunks(entries, { constants, derived }, requires) {
  const lines = [`# 1 "${launchCode}"`, '#pragma clang diagnostic ignored "-Weverything"'];
  entries.forEach((entry, i) => {
    const { arguments: list } = entry.kernel;
    const sources = list.map((argument) => `, msl_launch::${sourceOf(argument)}`).join("");
    lines.push(`extern "C" void msl_run_${i}(const __generic msl_context *c) { msl_launch::call(${entry.expression}${sources}); }`);
    lines.push(
      table(
        "msl_argument",
        `msl_arguments_${i}`,
        list.map((_, k) => describe(entry, k, constants)),
      ),
    );
  });
  const kernels = entries.map((entry, i) => {
    const { name, kernel } = entry;
    const required = requires(entry, constants).map(({ index }) => index);
    lines.push(table("int", `msl_required_${i}`, required));
    return `{${JSON.stringify(name)}, msl_arguments_${i}, ${kernel.arguments.length}, ${kernel.maxThreads}, msl_required_${i}, ${required.length}}`;
  });
  const values = constants.map(({ name, type, index }) => {
    return `{"${name}", "${type}", ${index}, sizeof(${name}), (__generic void *)&${name}, (__generic bool *)&msl_defined_${name}}`;
  });
  return [
    ...lines,
    table("msl_kernel", "msl_kernels", kernels),
    table("msl_function_constant", "msl_constants", values),
    `extern "C" { extern __global const msl_library msl_library_table;`,
    `__global const msl_library msl_library_table = {MSL_ABI, msl_kernels, ${entries.length}, msl_constants, ${constants.length}, __has_feature(thread_sanitizer)}; }`,
    `extern "C" void msl_derive() { ${derived.map(({ name, expression }) => `${name} = ${expression};`).join(" ")} }`,
    "",
  ].join("\n");
}
