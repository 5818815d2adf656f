// The layout of packed block weights, "rows16": 16 rows together, one 32-block after the other. Per block:
//   16 f16 scales, then 4-byte pieces of the 16 rows side by side: piece j of row r at 64 j + 4 r.
//   q8_0: piece j holds k = 4j..4j+3, each q + kDotBias. q4_0: the low nibbles of piece j are k = 4j..4j+3, the high ones 16 + 4j.., as q + 8.
// Rows beyond n are zero.
#pragma once
#include "kernel.h"
#include "simd.h"

namespace rlx {
namespace RLX_ISA {

constexpr size_t kPackRows = 16;
constexpr size_t kScaleBytes = 2 * kPackRows;
constexpr size_t kQ8Bytes = kScaleBytes + 32 * kPackRows;
constexpr size_t kQ4Bytes = kScaleBytes + 16 * kPackRows;
// What stored weights of a dtype have been shifted by.
constexpr int32_t pack_bias(int32_t dtype) { return dtype == RLX_Q4_0 ? 8 : kDotBias; }

// Bytes of n packed rows of q8_0 or q4_0.
size_t rows16_bytes(int32_t dtype, size_t n, size_t k);

}  // namespace RLX_ISA
}  // namespace rlx
