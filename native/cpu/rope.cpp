// Rotary position embedding.
#include <math.h>

#include "shape.h"

namespace rlx {
namespace RLX_BASE {
namespace {

constexpr size_t MOST_HEAD_DIM = 1024;

// in: positions [..., S], invFreq f32 [R/2]; out: cos, sin f32; params: scale. Angles in f64: large positions keep their phase.
const char* rope_table(const rlx_args* args) {
  RLX_REQUIRE(given(args, 2, 2, 1), "operands");
  const rlx_tensor &positions = args->in[0], &freq = args->in[1], &cosine = args->out[0], &sine = args->out[1];
  RLX_REQUIRE(is_int(positions.dtype) && freq.dtype == RLX_F32 && cosine.dtype == RLX_F32 && same_type(cosine, sine), "operands: dtypes");
  const size_t n = elements(positions), half = elements(freq);
  RLX_REQUIRE(elements(cosine) == n * half, "output: expected a row per position");
  const double scale = args->params[0];
  const float* f = reinterpret_cast<const float*>(freq.data);
  parallel_chunks(args->pool, n, rows_per_task(half * 32), [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; i++) {
      int64_t p;
      load_run(&p, positions.data, positions.dtype, static_cast<int64_t>(i), 1, 1);
      float* c = reinterpret_cast<float*>(cosine.data) + i * half;
      float* s = reinterpret_cast<float*>(sine.data) + i * half;
      for (size_t j = 0; j < half; j++) {
        const double angle = static_cast<double>(p) * static_cast<double>(f[j]);
        c[j] = static_cast<float>(cos(angle) * scale);
        s[j] = static_cast<float>(sin(angle) * scale);
      }
    }
  });
  return nullptr;
}

template <class T>
void rotate(T* head, const T* c, const T* s, size_t half, bool interleaved) {
  if (interleaved)
    for (size_t i = 0; i < half; i++) {
      const T a = head[2 * i], b = head[2 * i + 1];
      head[2 * i] = a * c[i] - b * s[i];
      head[2 * i + 1] = b * c[i] + a * s[i];
    }
  else
    for (size_t i = 0; i < half; i++) {
      const T a = head[i], b = head[i + half];
      head[i] = a * c[i] - b * s[i];
      head[i + half] = b * c[i] + a * s[i];
    }
}

// in: x [B, S, H*D], cos and sin [S, R/2] or [B, S, R/2]; params: headDim, interleaved.
const char* rope(const rlx_args* args) {
  RLX_REQUIRE(given(args, 3, 1, 2), "operands");
  const rlx_tensor &x = args->in[0], &cosine = args->in[1], &sine = args->in[2], &out = args->out[0];
  RLX_REQUIRE(x.rank == 3 && is_float(x.dtype) && same_type(x, out), "x: expected floats [B, S, H*D], as the output");
  RLX_REQUIRE(cosine.rank >= 2 && is_float(cosine.dtype) && same_type(cosine, sine), "sin: expected the type of cos");
  const size_t rows = elements(x, 0, 2), width = static_cast<size_t>(x.dims[2]), dim = size_param(args, 0);
  const size_t half = static_cast<size_t>(cosine.dims[cosine.rank - 1]), table_rows = elements(cosine, 0, cosine.rank - 1);
  RLX_REQUIRE(dim > 0 && width % dim == 0 && 2 * half <= dim && dim <= MOST_HEAD_DIM, "headDim: out of range");
  RLX_REQUIRE(table_rows == (cosine.rank == 3 ? rows : static_cast<size_t>(x.dims[1])), "cos: expected a row per position");
  const bool interleaved = args->params[1] != 0;
  with_float_class(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_chunks(args->pool, rows, rows_per_task(width), [&](size_t begin, size_t end) {
      T c[MOST_HEAD_DIM / 2], s[MOST_HEAD_DIM / 2], head[MOST_HEAD_DIM];
      for (size_t r = begin; r < end; r++) {
        const auto at = static_cast<int64_t>(r % table_rows * half);
        load_run(c, cosine.data, cosine.dtype, at, 1, half);
        load_run(s, sine.data, sine.dtype, at, 1, half);
        for (size_t h = 0; h < width; h += dim) {
          load_run(head, x.data, x.dtype, static_cast<int64_t>(r * width + h), 1, dim);
          rotate(head, c, s, half, interleaved);
          store_run(out.data, out.dtype, r * width + h, head, dim);
        }
      }
    });
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {{"rope_table", rope_table}, {"rope", rope}};

}  // namespace

rlx_kernel_list rope_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
