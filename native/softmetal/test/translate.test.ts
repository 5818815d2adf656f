// The source tool on small texts: what each rewrite makes of them. Needs no compiler.
import { describe, expect, test } from "vitest";
import { lex } from "../tool/lexer.mjs";
import { Locations, originalColumn } from "../tool/locations.mjs";
import { Source } from "../tool/source.mjs";
import { swizzleHeader } from "../tool/swizzles.mjs";
import { translate } from "../tool/translate.mjs";

/** The rewritten text without the launch code. */
const rewritten = (text: string): string => translate(text).program.split('\n# 1 "(launch code)"')[0] ?? "";
const launch = (text: string): string => translate(text).program.split('# 1 "(launch code)"')[1] ?? "";

describe("rewrites", () => {
  test.each([
    ["attributes go", "void f(device float *x [[buffer(0)]]);", "void f(device float *x );"],
    [
      "threads' temporaries bind to references",
      "float f(thread const float4 &x) { return x.x; }",
      "float f( const float4 &x) { return x.x; }",
    ],
    ["bfloat literals", "constant bfloat one = 1bf, half_ = .5bf;", "constant bfloat one = bfloat(1.f), half_ = bfloat(.5f);"],
    [
      "arms of a conditional are values",
      "float f(bool c) { return c ? 1 : 2; }",
      "float f(bool c) { return c ? msl_value( 1 ): msl_value( 2); }",
    ],
    [
      "nested conditionals",
      "int f(int c) { return c > 1 ? 1 : c ? 2 : 3; }",
      "int f(int c) { return c > 1 ? msl_value( 1 ): msl_value( c ? msl_value( 2 ): msl_value( 3)); }",
    ],
    [
      "conditionals of types stay",
      "metal::conditional_t<(N > 4 ? true : false), int, uint> x;",
      "metal::conditional_t<(N > 4 ? true : false), int, uint> x;",
    ],
    [
      "member functions get the thread's object",
      "struct A { int f() const { return 1; } };",
      "struct A { int f() const __private { return 1; } };",
    ],
    [
      "member functions of other spaces",
      "struct A { int f() const constant; int g() device; };",
      "struct A { int f() const __global; int g() ; };",
    ],
    [
      "one constructor is enough",
      "struct A { A(int x) thread : v(x) {} A(int x) device : v(x) {} int v; };",
      "struct A { A(int x)  : v(x) {}  int v; };",
    ],
    ["static members stay", "struct A { static int f() { return 1; } };", "struct A { static int f() { return 1; } };"],
  ])("%s", (_, text, expected) => {
    expect(rewritten(text)).toBe(expected);
  });

  test("threadgroup variables become references to storage", () => {
    expect(rewritten("void f() { threadgroup float a[2][N], b; }")).toBe(
      "void f() { typedef float msl_type_0 [ 2 ] [ N ]; __local msl_type_0 &a = *(__local msl_type_0 *)msl_threadgroup_storage(0, __PRETTY_FUNCTION__, " +
        "sizeof(msl_type_0), alignof(msl_type_0)); typedef float msl_type_1 ; __local msl_type_1 &b = *(__local msl_type_1 *)msl_threadgroup_storage(1, " +
        "__PRETTY_FUNCTION__, sizeof(msl_type_1), alignof(msl_type_1)); }",
    );
    const pointer = "void f(threadgroup float *a) { threadgroup float *b = a; threadgroup vec<float, 4> &c = g(a); }";
    expect(rewritten(pointer)).toBe(pointer);
    expect(rewritten("void f() { threadgroup vec<half, 4> a[8]; }")).toContain("typedef vec < half , 4 > msl_type_0 [ 8 ];");
  });

  test("function constants become variables; what depends on them is assigned later", () => {
    const text = "constant uint N [[function_constant(3)]];\nconstant uint TWICE = N * 2;\nconstant uint FIXED = 4;";
    expect(rewritten(text)).toBe(
      "static __global bool msl_defined_N; static __global uint N ;\nstatic __global uint TWICE ;\nconstant uint FIXED = 4;",
    );
    expect(launch(text)).toContain('{{"N", "uint", 3, sizeof(N), (__generic void *)&N, (__generic bool *)&msl_defined_N}}');
    expect(launch(text)).toContain("void msl_derive() { TWICE = N * 2; }");
  });

  test("lines stay where they are", () => {
    const text =
      "kernel void k(\n  device float *x\n    [[buffer(0)]]) {\n  threadgroup float\n    a[4];\n  x[0] = true\n    ? 1 : 2;\n}\n";
    const out = rewritten(text).split("\n");
    expect(out).toHaveLength(text.split("\n").length);
    expect(out[6]).toContain("? msl_value(");
  });
});

describe("kernels", () => {
  test("arguments come from where their attributes say", () => {
    const text =
      "kernel void k(device float *y [[buffer(1)]], constant P &p [[buffer(0)]], threadgroup half *t [[threadgroup(2)]], " +
      "uint3 at [[thread_position_in_grid]], ushort lane [[thread_index_in_simdgroup]]) {}";
    expect(launch(text)).toContain(
      "msl_launch::call(k, msl_launch::memory{c->buffers[1]}, msl_launch::memory{c->buffers[0]}, msl_launch::memory{c->threadgroups[2]}, " +
        "msl_launch::position{c->thread_position_in_grid}, msl_launch::number{c->thread_index_in_simdgroup});",
    );
    expect(launch(text)).toContain(
      "{{MSL_BUFFER, 1, MSL_READ_WRITE, -1, msl_launch::min_bytes<0>(k), msl_launch::alignment<0>(k)}, {MSL_BUFFER, 0, MSL_CONSTANT_SPACE, -1, msl_launch::min_bytes<1>(k), msl_launch::alignment<1>(k)}",
    );
  });

  test("function constants that a kernel needs", () => {
    const text = [
      "constant uint A [[function_constant(0)]]; constant uint B [[function_constant(1)]]; constant bool C [[function_constant(2)]];",
      "constant uint D [[function_constant(3)]]; constant uint E [[function_constant(4)]]; constant uint F [[function_constant(5)]];",
      "constant uint OF_B = B * 2; constant uint OF_D = is_function_constant_defined(D) ? D : 1;",
      "namespace n { struct S { uint e() const { return E; } }; template <typename T> T f(T x) { return x + OF_B; } }",
      "kernel void first(device uint *x [[buffer(0)]], device uint *y [[buffer(1), function_constant(C)]]) { *x = n::f(OF_D); }",
      "kernel void second(device uint *x [[buffer(0)]]) { n::S s; *x = A + s.e(); }",
      "kernel void third(device uint *x [[buffer(0)]]) { *x = 0; }",
    ].join("\n");
    const required = [...launch(text).matchAll(/msl_required_(\d)\[\] = \{(.*)\};/g)].map(([, kernel, indices]) => [kernel, indices]);
    expect(required).toEqual([
      ["0", "1, 2"],
      ["1", "0, 4"],
      ["2", "{}"],
    ]);
  });

  test("names: plain, given by the host, instantiated", () => {
    const text =
      '[[kernel]] void a() {}\n[[host_name("B")]] kernel void b() {}\ntemplate <typename T, int N> kernel void c(device T *x [[buffer(0)]]) {}\n' +
      'template [[host_name("c" "_half")]] kernel void c<half, 4>(device half *);\ntemplate kernel void c<float, (4 > 2)>(device float *);';
    expect(translate(text).kernels).toEqual(["b", "a", "c_half", "c<float,(4>2)>"].map((name) => (name === "b" ? "B" : name)));
  });
});

describe("text", () => {
  test("tokens", () => {
    expect(lex('a->b >>= 1.5e-3f; // c\n#pragma x\n"d\\"e"').map(({ text }) => text)).toEqual([
      "a",
      "->",
      "b",
      ">>=",
      "1.5e-3f",
      ";",
      '"d\\"e"',
    ]);
  });

  test("scopes", () => {
    const source = new Source("namespace n { struct A { int f() { return 1; } int g; }; }");
    const at = (text: string): number => source.tokens.findIndex((token) => token.text === text);
    expect([source.inBody[at("g")], source.classOf[at("g")]]).toEqual([false, "A"]);
    expect([source.inBody[at("return")], source.classOf[at("return")]]).toEqual([true, undefined]);
    expect(source.inBody[at("struct")]).toBe(false);
  });

  test("places: exact up to the first macro, then the macro's name", () => {
    expect(originalColumn("a + b", 4, "a   +   b")).toBe(8);
    expect(originalColumn("int x = (1 + 2);", 9, "int x  =  TWO;")).toBe(10);
    const locations = new Locations('# 1 "f.metal"\n\n\nint a;\n# 9 "g.h"\nint b;\n', new Map([["f.metal", "\n\nint  a;"]]));
    expect(locations.placeOf('# 1 "f.metal"\n\n\nint '.length)).toEqual({ file: "f.metal", line: 3, column: 6 });
    expect(locations.byOrigin.get("g.h:9")).toBe(5);
  });

  test("swizzles: 2-, 3- and 4-component names of both alphabets, once each", () => {
    const names = [...swizzleHeader().matchAll(/> (\w+);/g)].map(([, name]) => name);
    const count = (n: number): number => 2 * (n ** 2 + n ** 3 + n ** 4);
    expect(names).toHaveLength(count(2) + count(3) + count(4));
    expect(swizzleHeader()).toContain("msl_swizzle<vec<T, 3>, T, 4, 2, 1, 0> zyx;");
  });
});
