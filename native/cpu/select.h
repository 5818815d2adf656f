// Order of elements as argmax and topk see it.
#pragma once
#include "shape.h"

namespace rlx {
namespace RLX_BASE {

enum { MOST_SELECTED = 256 };

// NaN is above everything else, and not above itself.
template <class T>
inline bool above(T a, T b) {
  return b == b && (a != a || a > b);
}

// The k largest of x[start .. start + n), descending, the lower index first among equals. k <= MOST_SELECTED, k <= n.
template <class T>
void largest(const rlx_tensor& x, size_t start, size_t n, size_t k, T* values, int32_t* indices) {
  T v[VALUES];
  size_t filled = 0;
  for (size_t i = 0; i < n && k > 0; i += VALUES) {
    const size_t m = n - i < VALUES ? n - i : VALUES;
    load_run(v, x.data, x.dtype, static_cast<int64_t>(start + i), 1, m);
    for (size_t c = 0; c < m; c++) {
      if (filled == k && !above(v[c], values[k - 1])) continue;
      size_t at = filled < k ? filled++ : k - 1;
      for (; at > 0 && above(v[c], values[at - 1]); at--) {
        values[at] = values[at - 1];
        indices[at] = indices[at - 1];
      }
      values[at] = v[c];
      indices[at] = static_cast<int32_t>(i + c);
    }
  }
}

}  // namespace RLX_BASE
}  // namespace rlx
