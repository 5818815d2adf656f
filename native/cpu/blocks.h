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

}  // namespace RLX_BASE
}  // namespace rlx
