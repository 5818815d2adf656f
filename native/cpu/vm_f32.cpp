// Tile functions of class f32.
#include "convert.h"
#include "vm.h"
#include "vm_math.h"
#include "vm_ops.h"

namespace rlx {
namespace RLX_BASE {
namespace {

void op_const(float* target, const float*, const float*, const float*, float imm, size_t n) {
  for (size_t i = 0; i < n; i++) target[i] = imm;
}
RLX_VM_OP(float, op_neg, -x)
RLX_VM_OP(float, op_abs, fabsf(x))
RLX_VM_OP(float, op_sign, x > 0.f ? 1.f : x < 0.f ? -1.f : x)
RLX_VM_OP(float, op_exp, exp_f32(x))
RLX_VM_OP(float, op_log, log_f32(x))
RLX_VM_OP(float, op_sqrt, sqrtf(x))
RLX_VM_OP(float, op_rsqrt, 1.f / sqrtf(x))
RLX_VM_OP(float, sin_tile, sin_f32(x))
RLX_VM_OP(float, cos_tile, cos_f32(x))
RLX_VM_OP(float, tan_tile, tan_f32(x))
RLX_VM_OP(float, op_atan, atan_f32(x))
RLX_VM_OP(float, op_tanh, tanh_f32(x))
RLX_VM_OP(float, op_erf, erf_f32(x))
RLX_VM_OP(float, op_sigmoid, sigmoid_f32(x))
RLX_VM_OP(float, op_floor, floorf(x))
RLX_VM_OP(float, op_ceil, ceilf(x))
RLX_VM_OP(float, op_round, rintf(x))
RLX_VM_OP(float, op_trunc, truncf(x))
RLX_VM_OP(float, op_not, x == 0.f ? 1.f : 0.f)
RLX_VM_OP(float, op_to_f32, x)
RLX_VM_OP2(float, op_add, x + y)
RLX_VM_OP2(float, op_sub, x - y)
RLX_VM_OP2(float, op_mul, x * y)
RLX_VM_OP2(float, op_div, x / y)
RLX_VM_OP2(float, op_rem, fmodf(x, y))
// Equal operands: the sum of two zeros is the larger zero. Unordered: the sum is NaN.
RLX_VM_OP2(float, op_max, x > y ? x : y > x ? y : x != y || x == 0.f ? x + y : x)
RLX_VM_OP2(float, op_min, x < y ? x : y < x ? y : x != y || x == 0.f ? -(-x - y) : x)
RLX_VM_OP2(float, op_eq, x == y ? 1.f : 0.f)
RLX_VM_OP2(float, op_ne, x != y ? 1.f : 0.f)
RLX_VM_OP2(float, op_lt, x < y ? 1.f : 0.f)
RLX_VM_OP2(float, op_le, x <= y ? 1.f : 0.f)
RLX_VM_OP2(float, op_gt, x > y ? 1.f : 0.f)
RLX_VM_OP2(float, op_ge, x >= y ? 1.f : 0.f)
RLX_VM_OP2(float, op_and, (x != 0.f) & (y != 0.f) ? 1.f : 0.f)
RLX_VM_OP2(float, op_or, (x != 0.f) | (y != 0.f) ? 1.f : 0.f)
RLX_VM_OP2(float, op_xor, (x != 0.f) != (y != 0.f) ? 1.f : 0.f)
RLX_VM_OP3(float, op_select, x != 0.f ? y : z)

template <int32_t DType>
void op_through(float* target, const float* a, const float*, const float*, float, size_t n) {
  uint16_t bits[64];
  for (size_t i = 0; i < n; i += 64) {
    const size_t m = n - i < 64 ? n - i : 64;
    store_run(reinterpret_cast<uint8_t*>(bits), DType, 0, a + i, m);
    load_run(target + i, reinterpret_cast<const uint8_t*>(bits), DType, 0, 1, m);
  }
}

// Huge and non-finite arguments go to the C library, the tile that has one as a whole.
template <vm_fn<float> Tile, float (*Exact)(float)>
void op_trig(float* target, const float* a, const float*, const float*, float, size_t n) {
  bool small = true;
  for (size_t i = 0; i < n; i++) small &= fabsf(a[i]) <= TRIG_LIMIT;
  if (small) return Tile(target, a, nullptr, nullptr, 0, n);
  for (size_t i = 0; i < n; i++) target[i] = Exact(a[i]);
}

// JavaScript's power: NaN where C says 1 for 1^NaN, 1^inf and (-1)^inf.
float pow_special(float x, float y) {
  if (y != y || (fabsf(x) == 1.f && fabsf(y) == INFINITY)) return NAN;
  return static_cast<float>(pow(static_cast<double>(x), static_cast<double>(y)));
}
void op_pow(float* target, const float* a, const float* b, const float*, float, size_t n) {
  constexpr size_t M = 64;
  float out[M];
  for (size_t from = 0; from < n; from += M) {
    const size_t m = n - from < M ? n - from : M;
    const float *p = a + from, *q = b + from;
    bool plain = true;
    for (size_t i = 0; i < m; i++) {
      const bool ok = (p[i] > 0.f) & (p[i] < INFINITY) & (fabsf(q[i]) < INFINITY);
      plain &= ok;
      out[i] = pow_core(ok ? p[i] : 1.f, ok ? q[i] : 1.f);
    }
    for (size_t i = 0; i < m && !plain; i++)
      if (!((p[i] > 0.f) & (p[i] < INFINITY) & (fabsf(q[i]) < INFINITY))) out[i] = pow_special(p[i], q[i]);
    memcpy(target + from, out, m * sizeof(float));
  }
}

constexpr vm_fn<float> table[OP_COUNT] = {
    op_const, op_neg, op_abs, op_sign, op_exp, op_log, op_sqrt, op_rsqrt, op_trig<sin_tile, sinf>, op_trig<cos_tile, cosf>,
    op_trig<tan_tile, tanf>, op_atan, op_tanh, op_erf, op_sigmoid, op_floor, op_ceil, op_round, op_trunc, op_not, op_through<RLX_F16>,
    op_through<RLX_BF16>, op_to_f32, op_add, op_sub, op_mul, op_div, op_rem, op_max, op_min, op_pow, op_eq, op_ne, op_lt, op_le, op_gt,
    op_ge, op_and, op_or, op_xor, op_select};

}  // namespace

vm_fn<float> vm_f32(uint32_t op) { return op < OP_COUNT ? table[op] : nullptr; }

}  // namespace RLX_BASE
}  // namespace rlx
