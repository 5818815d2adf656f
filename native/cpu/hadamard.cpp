// Stages at distance 1, 2, 4, ... inside runs of a power of two, a Hadamard matrix of order 12 or 20 across the runs, one multiplication. Every
// sum has the operands of the reference, so neither vectors nor the order of independent sums change a bit.
#include "hadamard.h"

#include "kv_tables.h"
#include "simd.h"

namespace rlx {
namespace RLX_BASE {
namespace {

constexpr size_t kMostOrder = 20;
constexpr int32_t kSign = INT32_MIN;

struct Factors {
  size_t order, run;
  const uint32_t* rows;  // of the matrix across runs; NULL for order 1
};

bool factor(size_t n, Factors* f) {
  const Factors known[] = {{1, n, nullptr}, {12, n / 12, kMatrix12}, {20, n / 20, kMatrix20}};
  for (const Factors& k : known)
    if (k.run > 0 && k.order * k.run == n && (k.run & (k.run - 1)) == 0) {
      *f = k;
      return true;
    }
  return false;
}

// The sign bits of the diagonal, and of the lanes that a butterfly at distance 1, 2, 4 or 8 subtracts in.
struct Masks {
  int32_t diagonal[kMostSigns], odd[4][16];
  Masks() {
    for (size_t j = 0; j < kMostSigns; j++) diagonal[j] = kSignBytes[j / 8] >> (j % 8) & 1 ? kSign : 0;
    for (int b = 0; b < 4; b++)
      for (int i = 0; i < 16; i++) odd[b][i] = i >> b & 1 ? kSign : 0;
  }
};
const Masks& masks() {
  static const Masks made;
  return made;
}

RLX_INLINE vf flip(vf x, vi signs) { return from_bits(bits(x) ^ signs); }
float flip(float x, uint32_t sign) { return sign ? -x : x; }

// Lanes without bit B of their number become mine + theirs, the others theirs - mine.
template <int B> RLX_INLINE vf butterfly(vf x, const Masks& m) { return swap<1 << B>(x) + flip(x, loadi(m.odd[B])); }

// The stages inside a vector.
void stages_in_lanes(float* x, size_t n, size_t run, const Masks& m) {
  for (size_t j = 0; j < n; j += kLanes) {
    vf v = load(x + j);
    if (run > 1) v = butterfly<0>(v, m);
    if (run > 2) v = butterfly<1>(v, m);
    if constexpr (kLanes > 4)
      if (run > 4) v = butterfly<2>(v, m);
    if constexpr (kLanes > 8)
      if (run > 8) v = butterfly<3>(v, m);
    store(x + j, v);
  }
}

// Stages at distances h and 2h over vectors.
void two_stages(float* x, size_t n, size_t h) {
  for (size_t base = 0; base < n; base += 4 * h)
    for (size_t i = base; i < base + h; i += kLanes) {
      const vf a = load(x + i), b = load(x + i + h), c = load(x + i + 2 * h), d = load(x + i + 3 * h);
      const vf s = a + b, t = a - b, u = c + d, v = c - d;
      store(x + i, s + u);
      store(x + i + h, t + v);
      store(x + i + 2 * h, s - u);
      store(x + i + 3 * h, t - v);
    }
}
void one_stage(float* x, size_t n, size_t h) {
  for (size_t base = 0; base < n; base += 2 * h)
    for (size_t i = base; i < base + h; i += kLanes) {
      const vf a = load(x + i), b = load(x + i + h);
      store(x + i, a + b);
      store(x + i + h, a - b);
    }
}

// Across runs: element i of run r becomes the sum over c of matrix[r, c] * element i of run c, in the order of c.
void mix_runs(float* x, const Factors& f) {
  const size_t n = f.order * f.run;
  float old[kMostHadamard + kMostOrder * kLanes];
  int32_t rows[kMostOrder * kLanes];  // of each element, where a vector covers several runs
  // Runs that are shorter than a vector are repeated to fill one.
  const size_t stride = f.run < kLanes ? kLanes : f.run;
  for (size_t c = 0; c < f.order; c++) {
    float* to = old + c * stride;
    memcpy(to, x + c * f.run, f.run * sizeof *x);
    for (size_t filled = f.run; filled < stride; filled *= 2) memcpy(to + filled, to, filled * sizeof *x);
  }
  if (f.run < kLanes)
    for (size_t r = 0, j = 0; r < f.order; r++)
      for (size_t i = 0; i < f.run; i++) rows[j++] = static_cast<int32_t>(f.rows[r]);
  const vi sign = set1i(kSign);
  for (size_t j = 0, r = 0, i = 0; j < n; j += kLanes) {
    const float* from = old + i;
    vi row = f.run < kLanes ? loadi(rows + j) : set1i(static_cast<int32_t>(f.rows[r]));
    vf sum = flip(load(from), row & sign);
    for (size_t c = 1; c < f.order; c++) {
      row = shl<1>(row);
      sum = sum + flip(load(from + c * stride), row & sign);
    }
    store(x + j, sum);
    if (f.run < kLanes) continue;
    i += kLanes;
    if (i < f.run) continue;
    i = 0;
    r++;
  }
}

// Rows that are no whole vectors.
void transform_scalar(float* x, const Factors& f) {
  const size_t n = f.order * f.run;
  for (size_t h = 1; h < f.run; h *= 2)
    for (size_t j = 0; j < n; j++)
      if ((j & h) == 0) {
        const float a = x[j], b = x[j + h];
        x[j] = a + b;
        x[j + h] = a - b;
      }
  if (!f.rows) return;
  float old[kMostOrder * kLanes];
  memcpy(old, x, n * sizeof *x);
  for (size_t r = 0; r < f.order; r++)
    for (size_t i = 0; i < f.run; i++) {
      float sum = flip(old[i], f.rows[r] >> 31);
      for (size_t c = 1; c < f.order; c++) sum = sum + flip(old[c * f.run + i], f.rows[r] << c >> 31);
      x[r * f.run + i] = sum;
    }
}

void flip_row(float* x, size_t n, const Masks& m) {
  size_t j = 0;
  for (; j + kLanes <= n; j += kLanes) store(x + j, flip(load(x + j), loadi(m.diagonal + j)));
  for (; j < n; j++) x[j] = flip(x[j], static_cast<uint32_t>(m.diagonal[j]));
}

}  // namespace

bool is_hadamard(size_t n) {
  Factors f;
  return n <= kMostHadamard && factor(n, &f);
}

void fwht(float* x, size_t n, Signs signs) {
  Factors f;
  if (!factor(n, &f)) return;
  const Masks& m = masks();
  if (signs == Signs::before) flip_row(x, n, m);
  if (n % kLanes == 0) {
    stages_in_lanes(x, n, f.run, m);
    size_t h = kLanes;
    for (; 2 * h < f.run; h *= 4) two_stages(x, n, h);
    if (h < f.run) one_stage(x, n, h);
    if (f.rows) mix_runs(x, f);
  } else {
    transform_scalar(x, f);
  }
  const float scale = static_cast<float>(1.0 / ::sqrt(static_cast<double>(n)));
  size_t j = 0;
  for (; j + kLanes <= n; j += kLanes) store(x + j, load(x + j) * set1(scale));
  for (; j < n; j++) x[j] *= scale;
  if (signs == Signs::after) flip_row(x, n, m);
}

}  // namespace RLX_BASE
}  // namespace rlx
