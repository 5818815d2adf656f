// Shapes of operands, and the checks that every kernel begins with. Functions are static: one that is compiled for a wider
// instruction set must not replace its twin of another one.
#pragma once
#include <inttypes.h>
#include <string.h>

#include "convert.h"
#include "families.h"
#include "parallel.h"

// Nothing is written before all of these hold.
#define RLX_REQUIRE(condition, text) \
  if (!(condition)) return text

namespace rlx {
namespace RLX_BASE {

// Elements per tile of a kernel that works on converted values.
constexpr size_t VALUES = 512;

static inline size_t extent(const rlx_tensor& t, int32_t axis) { return static_cast<size_t>(t.dims[axis]); }
static inline size_t elements(const rlx_tensor& t, int32_t from = 0, int32_t to = RLX_MAX_RANK) {
  size_t n = 1;
  for (int32_t i = from; i < to && i < t.rank; i++) n *= static_cast<size_t>(t.dims[i]);
  return n;
}
static inline bool same_shape(const rlx_tensor& a, const rlx_tensor& b) {
  if (a.rank != b.rank) return false;
  for (int32_t i = 0; i < a.rank; i++)
    if (a.dims[i] != b.dims[i]) return false;
  return true;
}
static inline bool same_type(const rlx_tensor& a, const rlx_tensor& b) { return a.dtype == b.dtype && same_shape(a, b); }

// A tensor as [outer, length, inner] around one axis.
struct Lanes {
  size_t outer, length, inner;
};
static inline Lanes lanes(const rlx_tensor& t, int32_t axis) {
  return {elements(t, 0, axis), extent(t, axis), elements(t, axis + 1)};
}
// Whether a step has these operands and parameters; the last `optional` inputs may be absent.
static inline bool given(const rlx_args* args, size_t in, size_t out, size_t params, size_t optional = 0) {
  if (args->n_in != in || args->n_out != out || args->n_params < params) return false;
  for (size_t i = 0; i < in - optional; i++)
    if (!args->in[i].data) return false;
  for (size_t i = 0; i < out; i++)
    if (!args->out[i].data) return false;
  return true;
}
// Parameter `index` as a size; 0 when it is not one.
static inline size_t size_param(const rlx_args* args, size_t index) {
  const double v = args->params[index];
  return v >= 0 && v <= 9007199254740992.0 ? static_cast<size_t>(v) : 0;
}
// Axis parameter `index` of a step, or -1 when it is not an axis of a tensor of this rank.
static inline int32_t axis_param(const rlx_args* args, size_t index, int32_t rank) {
  if (index >= args->n_params) return -1;
  const double v = args->params[index];
  return v >= 0 && v < rank ? static_cast<int32_t>(v) : -1;
}

// Rows per task so that a task is worth its dispatch.
static inline size_t rows_per_task(size_t row_elements, size_t work = 16384) { return row_elements >= work ? 1 : work / (row_elements + 1) + 1; }

// Runs f with a value of the type that a dtype is computed in: double for f64, int64_t for integers, else float.
template <class F>
static inline void with_class(int32_t dtype, const F& f) {
  if (dtype == RLX_F64) f(double());
  else if (is_float(dtype)) f(float());
  else f(int64_t());
}
template <class F>
static inline void with_float_class(int32_t dtype, const F& f) {
  if (dtype == RLX_F64) f(double());
  else f(float());
}

// NULL, or the first index outside [0, extent).
static inline const char* check_indices(const rlx_tensor& indices, size_t extent) {
  const size_t n = elements(indices);
  int64_t tile[64];
  for (size_t i = 0; i < n; i += 64) {
    const size_t m = n - i < 64 ? n - i : 64;
    load_run(tile, indices.data, indices.dtype, static_cast<int64_t>(i), 1, m);
    for (size_t k = 0; k < m; k++)
      if (tile[k] < 0 || static_cast<uint64_t>(tile[k]) >= extent)
        return rlx_message("index %zu: expected 0 to %" PRId64 ", got %" PRId64, i + k, static_cast<int64_t>(extent) - 1, tile[k]);
  }
  return nullptr;
}
static inline size_t index_at(const rlx_tensor& indices, size_t i) {
  int64_t v;
  load_run(&v, indices.data, indices.dtype, static_cast<int64_t>(i), 1, 1);
  return static_cast<size_t>(v);
}

}  // namespace RLX_BASE
}  // namespace rlx
