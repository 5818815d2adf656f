// Block formats as floats: the public ggml layouts, as in packages/ir/src/blocks.ts.
#pragma once
#include "kernel.h"

namespace rlx {
namespace RLX_BASE {

// Elements of a block, 0 for other dtypes; and its bytes.
size_t block_elements(int32_t dtype);
size_t block_bytes(int32_t dtype);
// One block; out has room for block_elements.
void decode_block(int32_t dtype, const uint8_t* block, float* out);
// 32 values as a q8_0 block; any NaN or infinity: the scale NaN 0x7e00 and codes 0.
void encode_q8_0(const float* x, uint8_t* block);

}  // namespace RLX_BASE
}  // namespace rlx
