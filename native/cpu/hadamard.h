// The rotation of quantized KV vectors: packages/ir/src/kv-codec/hadamard.ts, with the same bits on every instruction set.
#pragma once
#include <stddef.h>

namespace rlx {
namespace RLX_BASE {

constexpr size_t kMostHadamard = 8192;  // the longest row
constexpr size_t kMostSigns = 512;      // the length of the sign diagonal

// A power of two up to kMostHadamard, or 12 or 20 times one.
bool is_hadamard(size_t n);

enum class Signs { none, before, after };
// The orthonormal transform of x[n] in place, the sign diagonal (n <= kMostSigns) on one side of it; is_hadamard(n).
void fwht(float* x, size_t n, Signs signs);

}  // namespace RLX_BASE
}  // namespace rlx
