#include "sink.h"

namespace rlx {
namespace RLX_ISA {

const char* Sink::bind(const rlx_args* args, int32_t inner, const rlx_tensor* bias, size_t n, size_t own) {
  y_ = args->out;
  bias_ = bias;
  n_ = n;
  fused_ = args->blob_bytes != 0;
  if (!fused_) return is_vector_float(y_->dtype) ? nullptr : "output: expected f32, f16 or bf16";
  if (own > args->n_in) return "operands";
  const size_t n_extras = args->n_in - own;
  if (n_extras + 1 > RLX_BASE::VM_MAX_OPERANDS) return "the epilogue has too many operands";
  rlx_tensor operands[RLX_BASE::VM_MAX_OPERANDS];
  operands[0] = *y_;
  operands[0].dtype = inner;
  for (size_t i = 0; i < n_extras; i++) operands[i + 1] = args->in[own + i];
  return vm_.bind(args->blob, args->blob_bytes, operands, n_extras + 1, *y_);
}

void Sink::finish(size_t row, size_t col, float* values, size_t count) const {
  if (bias_)
    for (size_t i = 0; i < count; i += kLanes) {
      const size_t left = count - i < kLanes ? count - i : kLanes;
      float b[kLanes] = {};
      to_f32(bias_->dtype, bias_->data + (col + i) * float_bytes(bias_->dtype), left, b);
      store_n(values + i, load_n(values + i, left) + load(b), left);
    }
  const size_t at = row * n_ + col;
  if (!fused_) {
    from_f32(y_->dtype, values, count, y_->data + at * float_bytes(y_->dtype));
    return;
  }
  vm_.apply(at, count, values);
}

}  // namespace RLX_ISA
}  // namespace rlx
