// Where the routines of linear algebra put finished values: bias, then the epilogue or the store.
#pragma once
#include "dot_tile.h"
#include "kernel.h"
#include "vm.h"

namespace rlx {
namespace RLX_ISA {

class Sink {
 public:
  // `inner`: dtype of the result before the epilogue. `bias` may be NULL. Inputs from `own` on are the epilogue's.
  const char* bind(const rlx_args* args, int32_t inner, const rlx_tensor* bias, size_t n, size_t own);
  // values: columns [col, col + count) of a row of n. Overwrites them.
  void finish(size_t row, size_t col, float* values, size_t count) const;

 private:
  Vm vm_;
  const rlx_tensor* y_;
  const rlx_tensor* bias_;
  size_t n_;
  bool fused_;
};

}  // namespace RLX_ISA
}  // namespace rlx
