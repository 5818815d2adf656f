// Tile functions of class i64: arithmetic wraps, a zero divisor gives 0.
#include "vm.h"
#include "vm_ops.h"

namespace rlx {
namespace RLX_BASE {
namespace {

using I = int64_t;
using U = uint64_t;
inline U u(I x) { return static_cast<U>(x); }
inline I s(U x) { return static_cast<I>(x); }
// -1 apart: the most negative number has no positive, and its quotient would trap.
inline I quotient(I x, I y) { return y == 0 ? 0 : y == -1 ? s(0 - u(x)) : x / y; }
inline I remainder(I x, I y) { return y == 0 || y == -1 ? 0 : x % y; }

void op_const(I* target, const I*, const I*, const I*, I imm, size_t n) {
  for (size_t i = 0; i < n; i++) target[i] = imm;
}
RLX_VM_OP(I, op_neg, s(0 - u(x)))
RLX_VM_OP(I, op_abs, x < 0 ? s(0 - u(x)) : x)
RLX_VM_OP(I, op_sign, (x > 0) - (x < 0))
RLX_VM_OP(I, op_not, x == 0)
RLX_VM_OP2(I, op_add, s(u(x) + u(y)))
RLX_VM_OP2(I, op_sub, s(u(x) - u(y)))
RLX_VM_OP2(I, op_mul, s(u(x) * u(y)))
RLX_VM_OP2(I, op_div, quotient(x, y))
RLX_VM_OP2(I, op_rem, remainder(x, y))
RLX_VM_OP2(I, op_max, x > y ? x : y)
RLX_VM_OP2(I, op_min, x < y ? x : y)
RLX_VM_OP2(I, op_eq, x == y)
RLX_VM_OP2(I, op_ne, x != y)
RLX_VM_OP2(I, op_lt, x < y)
RLX_VM_OP2(I, op_le, x <= y)
RLX_VM_OP2(I, op_gt, x > y)
RLX_VM_OP2(I, op_ge, x >= y)
RLX_VM_OP2(I, op_and, x & y)
RLX_VM_OP2(I, op_or, x | y)
RLX_VM_OP2(I, op_xor, x ^ y)
RLX_VM_OP3(I, op_select, x != 0 ? y : z)

}  // namespace

vm_fn<int64_t> vm_i64(uint32_t op) {
  switch (op) {
    case OP_CONST: return op_const;
    case OP_NEG: return op_neg;
    case OP_ABS: return op_abs;
    case OP_SIGN: return op_sign;
    case OP_NOT: return op_not;
    case OP_ADD: return op_add;
    case OP_SUB: return op_sub;
    case OP_MUL: return op_mul;
    case OP_DIV: return op_div;
    case OP_REM: return op_rem;
    case OP_MAX: return op_max;
    case OP_MIN: return op_min;
    case OP_EQ: return op_eq;
    case OP_NE: return op_ne;
    case OP_LT: return op_lt;
    case OP_LE: return op_le;
    case OP_GT: return op_gt;
    case OP_GE: return op_ge;
    case OP_AND: return op_and;
    case OP_OR: return op_or;
    case OP_XOR: return op_xor;
    case OP_SELECT: return op_select;
    default: return nullptr;
  }
}

}  // namespace RLX_BASE
}  // namespace rlx
