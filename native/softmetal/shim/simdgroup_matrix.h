// <metal_simdgroup_matrix>: an 8x8 matrix, two neighbouring elements of a row per lane, in the hardware's order of lanes.
#pragma once

namespace metal {
MSL_INLINE uint msl_matrix_row(uint lane) { return (lane >> 4 & 1) * 4 + (lane >> 1 & 3); }
MSL_INLINE uint msl_matrix_column(uint lane) { return (lane >> 3 & 1) * 4 + (lane & 1) * 2; }
// The lane that has (row, column); which of its two elements: column & 1.
MSL_INLINE uint msl_matrix_lane(uint row, uint column) { return (row & 4) << 2 | (row & 3) << 1 | (column & 4) << 1 | (column >> 1 & 1); }

template <class T, int C, int R>
struct simdgroup_matrix {
  static_assert(R == 8 && C == 8, "simdgroup_matrix: only 8x8");
  typedef vec<T, 2> storage_type;
  storage_type pair;
  simdgroup_matrix() = default;
  explicit simdgroup_matrix(T diagonal) {
    uint row = msl_matrix_row(msl_lane()), column = msl_matrix_column(msl_lane());
    pair = storage_type(row == column ? diagonal : T(0), row == column + 1 ? diagonal : T(0));
  }
  thread storage_type &thread_elements() __private { return pair; }
  const thread storage_type &thread_elements() const __private { return pair; }
};
typedef simdgroup_matrix<float, 8, 8> simdgroup_float8x8;
typedef simdgroup_matrix<half, 8, 8> simdgroup_half8x8;
typedef simdgroup_matrix<bfloat, 8, 8> simdgroup_bfloat8x8;

template <class T, int C, int R = C>
MSL_INLINE simdgroup_matrix<T, C, R> make_filled_simdgroup_matrix(T value) {
  simdgroup_matrix<T, C, R> m;
  m.pair = value;
  return m;
}

// Where element k of this lane lies in memory.
MSL_INLINE ulong msl_matrix_index(int k, ulong stride, ulong2 origin, bool transposed) {
  ulong row = msl_matrix_row(msl_lane()), column = msl_matrix_column(msl_lane()) + k;
  return transposed ? (column + origin.y) * stride + row + origin.x : (row + origin.y) * stride + column + origin.x;
}
template <class T, class P>
MSL_INLINE void simdgroup_load(thread simdgroup_matrix<T, 8, 8> &m, P from, ulong stride = 8, ulong2 origin = ulong2(0ul), bool transposed = false) {
  for (int k = 0; k < 2; ++k) m.pair.e[k] = from[msl_matrix_index(k, stride, origin, transposed)];
}
template <class T, class P>
MSL_INLINE void simdgroup_store(const thread simdgroup_matrix<T, 8, 8> &m, P to, ulong stride = 8, ulong2 origin = ulong2(0ul), bool transposed = false) {
  for (int k = 0; k < 2; ++k) to[msl_matrix_index(k, stride, origin, transposed)] = m.pair.e[k];
}

struct msl_factors {
  float a[2], b[2];
};
// d = a * b + c, accumulated in float over k = 0..7 in this order. The hardware's own order is not documented.
template <class D, class A, class B, class C>
MSL_INLINE void simdgroup_multiply_accumulate(thread simdgroup_matrix<D, 8, 8> &d, const thread simdgroup_matrix<A, 8, 8> &a,
                                              const thread simdgroup_matrix<B, 8, 8> &b, const thread simdgroup_matrix<C, 8, 8> &c, MSL_SITE) {
  msl_factors own;
  for (int k = 0; k < 2; ++k) {
    own.a[k] = float(a.pair.e[k]);
    own.b[k] = float(b.pair.e[k]);
  }
  uint row = msl_matrix_row(msl_lane()), column = msl_matrix_column(msl_lane());
  auto all = msl_meet(own, MSL_OP_MULTIPLY_ACCUMULATE, MSL_HERE);
  if (all.lanes->mask != 0xffffffffu) msl_misuse("simdgroup_multiply_accumulate without all 32 lanes", MSL_HERE);
  for (uint k = 0; k < 2; ++k) {
    float sum = float(c.pair.e[k]);
    for (uint i = 0; i < 8; ++i) {
      float x = all[msl_matrix_lane(row, i)].a[i & 1], y = all[msl_matrix_lane(i, column + k)].b[k];
      sum = __builtin_fmaf(x, y, sum);
    }
    d.pair.e[k] = D(sum);
  }
}
template <class D, class A, class B>
MSL_INLINE void simdgroup_multiply(thread simdgroup_matrix<D, 8, 8> &d, const thread simdgroup_matrix<A, 8, 8> &a,
                                   const thread simdgroup_matrix<B, 8, 8> &b, MSL_SITE) {
  auto zero = make_filled_simdgroup_matrix<D, 8, 8>(D(0));
  simdgroup_multiply_accumulate(d, a, b, zero, site_file, site_line, site_column);
}
}  // namespace metal
