// Opcodes of the vector bytecode: the numbers that bytecode.ts writes.
#pragma once
#include <stdint.h>

namespace rlx {
namespace RLX_BASE {

enum vm_op : uint32_t {
  OP_CONST, OP_NEG, OP_ABS, OP_SIGN, OP_EXP, OP_LOG, OP_SQRT, OP_RSQRT, OP_SIN, OP_COS, OP_TAN, OP_ATAN, OP_TANH, OP_ERF, OP_SIGMOID,
  OP_FLOOR, OP_CEIL, OP_ROUND, OP_TRUNC, OP_NOT, OP_TO_F16, OP_TO_BF16, OP_TO_F32, OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_REM, OP_MAX, OP_MIN,
  OP_POW, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_AND, OP_OR, OP_XOR, OP_SELECT, OP_COUNT,
  OP_LOAD = OP_COUNT,  // a: the operand
};

// Elements do not depend on one another, also when the target is an operand.
#if defined(__clang__)
#define RLX_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define RLX_INDEPENDENT _Pragma("GCC ivdep")
#endif

// One function over a tile per op; x, y, z are the elements of a, b, c.
#define RLX_VM_OP(T, name, expression) \
  void name(T* target, const T* a, const T*, const T*, T, size_t n) { \
    RLX_INDEPENDENT for (size_t i = 0; i < n; i++) { \
      const T x = a[i]; \
      target[i] = (expression); \
    } \
  }
#define RLX_VM_OP2(T, name, expression) \
  void name(T* target, const T* a, const T* b, const T*, T, size_t n) { \
    RLX_INDEPENDENT for (size_t i = 0; i < n; i++) { \
      const T x = a[i], y = b[i]; \
      target[i] = (expression); \
    } \
  }
#define RLX_VM_OP3(T, name, expression) \
  void name(T* target, const T* a, const T* b, const T* c, T, size_t n) { \
    RLX_INDEPENDENT for (size_t i = 0; i < n; i++) { \
      const T x = a[i], y = b[i], z = c[i]; \
      target[i] = (expression); \
    } \
  }

}  // namespace RLX_BASE
}  // namespace rlx
