// Tile functions of class f64: the C library's, which are within a unit or so in the last place.
#include "convert.h"
#include "vm.h"
#include "vm_math.h"
#include "vm_ops.h"

namespace rlx {
namespace RLX_BASE {
namespace {

double pow_js(double x, double y) { return y != y || (fabs(x) == 1.0 && fabs(y) == INFINITY) ? NAN : pow(x, y); }

void op_const(double* target, const double*, const double*, const double*, double imm, size_t n) {
  for (size_t i = 0; i < n; i++) target[i] = imm;
}
RLX_VM_OP(double, op_neg, -x)
RLX_VM_OP(double, op_abs, fabs(x))
RLX_VM_OP(double, op_sign, x > 0 ? 1.0 : x < 0 ? -1.0 : x)
RLX_VM_OP(double, op_exp, exp(x))
RLX_VM_OP(double, op_log, log(x))
RLX_VM_OP(double, op_sqrt, sqrt(x))
RLX_VM_OP(double, op_rsqrt, 1.0 / sqrt(x))
RLX_VM_OP(double, op_sin, sin(x))
RLX_VM_OP(double, op_cos, cos(x))
RLX_VM_OP(double, op_tan, tan(x))
RLX_VM_OP(double, op_atan, atan(x))
RLX_VM_OP(double, op_tanh, tanh(x))
RLX_VM_OP(double, op_erf, erf(x))
RLX_VM_OP(double, op_sigmoid, 1.0 / (1.0 + exp(-x)))
RLX_VM_OP(double, op_floor, floor(x))
RLX_VM_OP(double, op_ceil, ceil(x))
RLX_VM_OP(double, op_round, rint(x))
RLX_VM_OP(double, op_trunc, trunc(x))
RLX_VM_OP(double, op_not, x == 0 ? 1.0 : 0.0)
RLX_VM_OP(double, op_to_f32, static_cast<double>(static_cast<float>(x)))
RLX_VM_OP2(double, op_add, x + y)
RLX_VM_OP2(double, op_sub, x - y)
RLX_VM_OP2(double, op_mul, x * y)
RLX_VM_OP2(double, op_div, x / y)
RLX_VM_OP2(double, op_rem, fmod(x, y))
RLX_VM_OP2(double, op_max, x > y ? x : y > x ? y : x != y || x == 0 ? x + y : x)
RLX_VM_OP2(double, op_min, x < y ? x : y < x ? y : x != y || x == 0 ? -(-x - y) : x)
RLX_VM_OP2(double, op_pow, pow_js(x, y))
RLX_VM_OP2(double, op_eq, x == y ? 1.0 : 0.0)
RLX_VM_OP2(double, op_ne, x != y ? 1.0 : 0.0)
RLX_VM_OP2(double, op_lt, x < y ? 1.0 : 0.0)
RLX_VM_OP2(double, op_le, x <= y ? 1.0 : 0.0)
RLX_VM_OP2(double, op_gt, x > y ? 1.0 : 0.0)
RLX_VM_OP2(double, op_ge, x >= y ? 1.0 : 0.0)
RLX_VM_OP2(double, op_and, (x != 0) & (y != 0) ? 1.0 : 0.0)
RLX_VM_OP2(double, op_or, (x != 0) | (y != 0) ? 1.0 : 0.0)
RLX_VM_OP2(double, op_xor, (x != 0) != (y != 0) ? 1.0 : 0.0)
RLX_VM_OP3(double, op_select, x != 0 ? y : z)

template <int32_t DType>
void op_through(double* target, const double* a, const double*, const double*, double, size_t n) {
  uint16_t bits[64];
  for (size_t i = 0; i < n; i += 64) {
    const size_t m = n - i < 64 ? n - i : 64;
    store_run(reinterpret_cast<uint8_t*>(bits), DType, 0, a + i, m);
    load_run(target + i, reinterpret_cast<const uint8_t*>(bits), DType, 0, 1, m);
  }
}

constexpr vm_fn<double> table[OP_COUNT] = {
    op_const, op_neg, op_abs, op_sign, op_exp, op_log, op_sqrt, op_rsqrt, op_sin, op_cos, op_tan, op_atan, op_tanh, op_erf, op_sigmoid,
    op_floor, op_ceil, op_round, op_trunc, op_not, op_through<RLX_F16>, op_through<RLX_BF16>, op_to_f32, op_add, op_sub, op_mul, op_div,
    op_rem, op_max, op_min, op_pow, op_eq, op_ne, op_lt, op_le, op_gt, op_ge, op_and, op_or, op_xor, op_select};

}  // namespace

vm_fn<double> vm_f64(uint32_t op) { return op < OP_COUNT ? table[op] : nullptr; }

}  // namespace RLX_BASE
}  // namespace rlx
