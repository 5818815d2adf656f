// How clang compiles kernels.

/** @typedef {"x64" | "arm64"} Architecture */

/** @returns {Architecture} */
export function hostArchitecture() {
  if (process.arch === "x64" || process.arch === "arm64") return process.arch;
  throw new Error(`software Metal: expected an x64 or arm64 machine, got ${process.arch}`);
}

export const standardHeaders = [
  "metal_stdlib",
  ...[
    "array",
    "atomic",
    "common",
    "compute",
    "config",
    "geometric",
    "graphics",
    "integer",
    "limits",
    "logging",
    "math",
    "matrix",
    "numeric",
  ],
  ...["pack", "quadgroup", "relational", "simdgroup", "simdgroup_matrix", "texture", "type_traits", "types", "uniform"],
].map((name) => (name.startsWith("metal_") ? name : `metal_${name}`));

/** The newest version of the language that the shim knows, as __METAL_VERSION__ has it. */
export const newestVersion = 320;
/** The first version that has the type bfloat. */
export const bfloatVersion = 310;

/** @param {number} version of the language */
export const preprocess = (version) => [
  ...["-E", "-x", "c++", "-std=c++17", "-nostdinc", "-fno-color-diagnostics", "-fno-caret-diagnostics"],
  ...["-D__METAL__=1", `-D__METAL_VERSION__=${version}`, "-D__METAL_MACOS__=1"],
  ...(version >= bfloatVersion ? ["-D__HAVE_BFLOAT__=1"] : []),
  ...["-U__linux__", "-U__x86_64__", "-U__aarch64__"],
];

const language = [
  ...["-x", "clcpp", "-cl-std=clc++2021", "-cl-no-stdinc"],
  // No double at all: 0.5 is a float, as in MSL.
  ...["-Xclang", "-cl-ext=+all,-cl_khr_fp64,-__opencl_c_fp64"],
  // half is IEEE's and converted by the hardware; every half and bfloat operation rounds; nothing is contracted.
  ...["-Xclang", "-fnative-half-type", "-Xclang", "-fnative-half-arguments-and-returns"],
  ...["-Xclang", "-ffloat16-excess-precision=none", "-Xclang", "-fbfloat16-excess-precision=none", "-ffp-contract=off"],
];
const messages = [
  ...["-ferror-limit=0", "-fno-color-diagnostics", "-fno-caret-diagnostics"],
  ...["-Wno-unknown-attributes", "-Wno-duplicate-decl-specifier", "-Wno-unused-value", "-Wno-unused-function"],
  // MSL is C++14.
  "-Werror=pre-c++17-compat",
];
// Calls of __tsan_read4 and the like go to the runtime, which has its own shadow memory; TSan itself is not linked, nor is UBSan. Wide vectors would escape
// TSan's pass.
const checks = [
  ...["-fsanitize=thread,bounds,alignment", "-fsanitize-trap=bounds", "-fno-vectorize", "-fno-slp-vectorize", "-fno-builtin"],
  ...["-mllvm", "-tsan-instrument-func-entry-exit=0", "-mllvm", "-tsan-instrument-atomics=0"],
  // Each check has its own trap instruction, so that it has its own line.
  ...["-mllvm", "-ubsan-unique-traps"],
];

// Only x86 raises a signal for a division by zero by itself.
const divisions = ["-fsanitize=integer-divide-by-zero", "-fsanitize-trap=integer-divide-by-zero"];

/** Clang's flag for the machine that code is made for. @type {Record<Architecture, string>} */
export const targets = { x64: "--target=x86_64-linux-gnu", arm64: "--target=aarch64-linux-gnu" };

/** Flags that the precompiled shim and the kernels share. @param {{ architecture: Architecture, check: boolean, optimize?: string | undefined }} build */
export function compileFlags({ architecture, check, optimize = check ? "-O1" : "-O2" }) {
  const instructions = architecture === "x64" ? ["-mf16c", "-mfma", "-mavx2"] : divisions;
  return [targets[architecture], ...instructions, ...language, ...messages, "-fPIC", "-g1", optimize, ...(check ? checks : [])];
}

/** A kernel's own functions win over the runtime's of the same name; what the runtime offers stays undefined. @param {Architecture} architecture */
export function linkFlags(architecture) {
  return [targets[architecture], "-shared", "-Wl,-Bsymbolic", "-lm"];
}
