// What every kernel file begins with: dtypes, conversions whose bits are those of the CPU, and the report of refused operands.
#pragma once
#include <metal_stdlib>
using namespace metal;

// Every product and every sum rounds, as on the CPU; where a fused multiply-add is wanted, fma says so.
#pragma METAL fp contract(off)

// In front of loops over what shall stay in registers.
#define UNROLL _Pragma("clang loop unroll(full)")

// In the order of the `dtypes` table of packages/ir/src/dtype.ts.
enum Dtype : uint { F32, F16, BF16, F64, I8, U8, I16, I32, U32, I64, BOOL, Q8_0, Q4_0, Q4_K, Q5_K, Q6_K };

// bfloat16 as its bits, so that it is there on every system.
struct bf16 {
  ushort bits;
};
inline float to_float(float x) { return x; }
inline float to_float(half x) { return float(x); }
inline float to_float(bf16 x) { return as_type<float>(uint(x.bits) << 16); }

// To nearest even; a NaN stays one and becomes quiet.
inline bf16 to_bf16(float x) {
  const uint bits = as_type<uint>(x);
  bf16 out;
  out.bits = ushort((bits & 0x7fffffffu) > 0x7f800000u ? (bits >> 16) | 0x40u : (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
  return out;
}

// Element `index` of a float operand; `dtype` is a function constant, so the branches are gone when the kernel runs.
inline float load_float(device const uchar *data, uint dtype, ulong index) {
  if (dtype == F16) return float(((device const half *)data)[index]);
  if (dtype == BF16) return to_float(((device const bf16 *)data)[index]);
  return ((device const float *)data)[index];
}
inline void store_float(device uchar *data, uint dtype, ulong index, float value) {
  if (dtype == F16) ((device half *)data)[index] = half(value);
  else if (dtype == BF16) ((device bf16 *)data)[index] = to_bf16(value);
  else ((device float *)data)[index] = value;
}

// Element `index` of an integer operand.
inline long load_int(device const uchar *data, uint dtype, ulong index) {
  switch (dtype) {
    case I8: return ((device const char *)data)[index];
    case U8: return data[index];
    case I16: return ((device const short *)data)[index];
    case I32: return ((device const int *)data)[index];
    case U32: return ((device const uint *)data)[index];
    default: return ((device const long *)data)[index];
  }
}

// What a run's kernels say of operands that they refuse. The host reads it when the run has ended.
constant uint NO_REFUSAL = 0xffffffffu;
struct Refusal {
  uint code;  // 0: none
  uint reserved;
  long values[3];
};
struct Status {
  atomic_uint refused;  // the first slot with a refusal, in the order of the program
  uint reserved[7];
  Refusal refusals[1];  // by slot
};

// One thread of a launch may report, so that the report does not depend on the order of threads.
inline void report(device Status *status, uint slot, uint code, long a = 0, long b = 0, long c = 0) {
  device Refusal &refusal = status->refusals[slot];
  refusal.code = code;
  refusal.values[0] = a;
  refusal.values[1] = b;
  refusal.values[2] = c;
  atomic_fetch_min_explicit(&status->refused, slot, memory_order_relaxed);
}
// Whether an earlier step refused its operands: nothing is written to states any more.
inline bool refused(device const Status *status) {
  return atomic_load_explicit(&status->refused, memory_order_relaxed) != NO_REFUSAL;
}
