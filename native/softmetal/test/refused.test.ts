// Programs that Apple's compiler refuses, each with the first error and its place in the file.
import { readdirSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { compile } from "../tool/compile.mjs";
import { describeWithToolchain } from "./toolchain.ts";

const folder = fileURLToPath(new URL("refused/", import.meta.url));
const expected: Record<string, string> = {
  ambiguous_max: "4:10: call to 'max' is ambiguous",
  ambiguous_min: "5:10: call to 'min' is ambiguous",
  argument_without_attribute: "3:46: kernel k: argument 'uint i' has no attribute",
  buffer_index_beyond: "3:13: kernel k: buffer(31) is beyond the last index, 30",
  buffer_index_twice: "3:13: kernel k: buffer(0) is declared twice",
  c_functions: "4:10: use of undeclared identifier 'fabsf'; did you mean 'fabs'?",
  constant_to_device: "5:3: no matching function for call to 'f'",
  device_to_thread:
    "4:17: cannot initialize a variable of type '__private float *__private' with an lvalue of type '__global_device float *__private'",
  double_type: "4:3: use of type 'double' requires cl_khr_fp64 and __opencl_c_fp64 support",
  exceptions: "4:3: cannot use 'try' with exceptions disabled",
  goto: "6:17: 'goto' is not allowed in MSL",
  implicit_vector_conversion: "4:10: no viable conversion from '__global_device vec<half, [...]>' to '__private vec<float, [...]>'",
  kernel_result: "3:12: kernel k must return void",
  long_double: "4:10: 'long double' is not supported in MSL",
  mutable_global: "3:1: a variable at program scope must be 'constant'",
  mutual_recursion: "4:7: 'f' calls itself: recursion is not allowed in MSL",
  newer_cpp: "4:6: constexpr if is incompatible with C++ standards before C++17 [-Werror,-Wpre-c++17-compat]",
  new_array: "4:14: 'default new' is not supported in C++ for OpenCL",
  pointer_without_space: "3:8: 'float * p' needs an address space: device, constant, threadgroup or thread",
  positions_of_two_sizes: "4:15: kernel k: threadgroup_position_in_grid and threads_per_threadgroup have different numbers of components",
  printf: "4:3: use of undeclared identifier 'printf'; did you mean 'rint'?",
  recursion: "3:7: 'f' calls itself: recursion is not allowed in MSL",
  shuffle_of_pointer:
    "4:10: static assertion failed due to requirement '!is_pointer_v<__global_device float *__private>': a pointer is no argument of a simdgroup function",
  static_local: "4:3: a variable in a function cannot be static",
  std_function: "4:10: use of undeclared identifier 'std'",
  threadgroup_to_device: "5:10: no matching function for call to 'f'",
  vectors_of_two_types:
    "4:15: invalid operands to binary expression ('__global_device float4' (aka '__global_device vec<float, 4>') and '__global_device half4' (aka '__global_device vec<half, 4>'))",
  virtual_function: "4:3: virtual functions are not allowed in MSL",
  write_to_constant: "7:7: cannot assign to variable 'p' with const-qualified type 'const __global P &__private'",
};

describeWithToolchain("programs that are refused", () => {
  test("every file has its expectation", () => {
    expect(
      readdirSync(folder)
        .map((file) => basename(file, ".metal"))
        .sort(),
    ).toEqual(Object.keys(expected).sort());
  });

  test("bfloat in versions of the language that do not have it", async () => {
    const source = "kernel void k(device bfloat *x [[buffer(0)]]) {\n#ifndef __HAVE_BFLOAT__\n  x[0] = bfloat(1);\n#endif\n}\n";
    const { diagnostics } = await compile("old.metal", { source, version: 300 });
    expect(diagnostics.map(({ line, message }) => `${line}: ${message}`)).toEqual([
      "1: 'bfloat' needs Metal 3.1",
      "3: 'bfloat' needs Metal 3.1",
    ]);
    expect((await compile("new.metal", { source, version: 310 })).library).toBeDefined();
  });

  test.each(Object.entries(expected))("%s", async (name, message) => {
    const { library, diagnostics } = await compile(`${folder}${name}.metal`);
    const first = diagnostics.find(({ severity }) => severity === "error");
    expect(library).toBeUndefined();
    expect(`${first?.line}:${first?.column}: ${first?.message}`).toBe(message);
    expect(first?.file).toBe(`${folder}${name}.metal`);
  });
});
