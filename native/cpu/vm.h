// The vector bytecode of elementwise ops, fused regions and epilogues: packages/backend-cpu/src/kernels/bytecode.ts writes it.
//
// A body runs over tiles of the output index space: every instruction is one call over a whole tile in L1, so memory is read
// once per operand and written once, whatever the number of instructions.
//
// Layout, little-endian 32-bit words:
//   magic, class (0 f32, 1 f64, 2 i64), operands, registers, instructions, result register
//   per instruction 8 words: op, target, a, b, c, 0, and the immediate as a double
#pragma once
#include "kernel.h"

namespace rlx {
namespace RLX_BASE {

enum { VM_MAGIC = 0x314d5652, VM_HEADER_WORDS = 6, VM_STEP_WORDS = 8, VM_MAX_REGISTERS = 64, VM_MAX_OPERANDS = 32 };

// An operand seen from the output's index space, axes of like stride joined.
struct vm_operand {
  const uint8_t* data;
  int32_t dtype;
  int32_t rank;
  int64_t dims[RLX_MAX_RANK];
  int64_t strides[RLX_MAX_RANK];  // in elements, 0 where broadcast
};

class Vm {
 public:
  // Checks the bytecode, and every operand against the output. The operands must outlive the calls of apply.
  // Returns NULL, or what is wrong.
  const char* bind(const uint8_t* blob, size_t blob_bytes, const rlx_tensor* operands, size_t count, const rlx_tensor& out);

  // Elements [begin, begin + count) of the output. `first` (may be NULL): values of operand 0 for this range, so that a routine
  // can finish a tile that it has just computed; then operand 0 itself is not read. Only for bodies of class f32.
  void apply(size_t begin, size_t count, const float* first) const;

  int32_t compute_class() const { return class_; }

 private:
  vm_operand operands_[VM_MAX_OPERANDS];
  rlx_tensor out_;
  const uint8_t* steps_;
  size_t n_operands_, n_registers_, n_steps_, result_;
  int32_t class_;
};

// One instruction over a tile: target[i] = op(a[i], b[i], c[i]). Target may be one of the operands.
template <class T>
using vm_fn = void (*)(T* target, const T* a, const T* b, const T* c, T imm, size_t n);
// By opcode; NULL where the class has no such op.
vm_fn<float> vm_f32(uint32_t op);
vm_fn<double> vm_f64(uint32_t op);
vm_fn<int64_t> vm_i64(uint32_t op);

}  // namespace RLX_BASE
namespace RLX_ISA {
using rlx::RLX_BASE::Vm;
}
}  // namespace rlx
