// <metal_relational>, <metal_geometric>, <metal_matrix>, metal::array.
#pragma once

namespace metal {
template <int N>
MSL_INLINE bool all(vec<bool, N> v) {
  for (int i = 0; i < N; ++i)
    if (!v.e[i]) return false;
  return true;
}
template <int N>
MSL_INLINE bool any(vec<bool, N> v) {
  for (int i = 0; i < N; ++i)
    if (v.e[i]) return true;
  return false;
}
MSL_INLINE bool all(bool b) { return b; }
MSL_INLINE bool any(bool b) { return b; }
template <class T, enable_if_t<msl_is_number<T>, int> = 0>
MSL_INLINE T select(T no, T yes, bool condition) {
  return condition ? yes : no;
}
template <class T, int N>
MSL_INLINE vec<T, N> select(vec<T, N> no, vec<T, N> yes, vec<bool, N> condition) {
  vec<T, N> r;
  for (int i = 0; i < N; ++i) r.e[i] = condition.e[i] ? yes.e[i] : no.e[i];
  return r;
}

#define MSL_GEOMETRY(T, N)                                                            \
  MSL_INLINE T dot(T##N a, T##N b) {                                                  \
    T sum = a.e[0] * b.e[0];                                                          \
    for (int i = 1; i < N; ++i) sum += a.e[i] * b.e[i];                               \
    return sum;                                                                       \
  }                                                                                   \
  MSL_INLINE T length_squared(T##N a) { return dot(a, a); }                           \
  MSL_INLINE T length(T##N a) { return sqrt(dot(a, a)); }                             \
  MSL_INLINE T distance(T##N a, T##N b) { return length(a - b); }                     \
  MSL_INLINE T distance_squared(T##N a, T##N b) { return length_squared(a - b); }     \
  MSL_INLINE T##N normalize(T##N a) { return a * T##N(rsqrt(dot(a, a))); }            \
  MSL_INLINE T##N mix(T##N a, T##N b, T t) { return mix(a, b, T##N(t)); }             \
  MSL_INLINE T##N clamp(T##N a, T low, T high) { return clamp(a, T##N(low), T##N(high)); } \
  MSL_INLINE T##N max(T##N a, T b) { return max(a, T##N(b)); }                        \
  MSL_INLINE T##N min(T##N a, T b) { return min(a, T##N(b)); }
MSL_GEOMETRY(float, 2)
MSL_GEOMETRY(float, 3)
MSL_GEOMETRY(float, 4)
MSL_GEOMETRY(half, 2)
MSL_GEOMETRY(half, 3)
MSL_GEOMETRY(half, 4)
#undef MSL_GEOMETRY

MSL_INLINE float3 cross(float3 a, float3 b) { return float3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x); }

// C columns of R rows.
template <class T, int C, int R>
struct matrix {
  vec<T, R> columns[C];
  matrix() = default;
  matrix(const matrix &) = default;
  matrix &operator=(const matrix &) = default;
  constexpr explicit matrix(T diagonal) {
    for (int i = 0; i < C; ++i)
      for (int j = 0; j < R; ++j) columns[i].e[j] = i == j ? diagonal : T(0);
  }
  template <class... A, enable_if_t<sizeof...(A) == C && (C > 1), int> = 0>
  constexpr matrix(const A &...column) : columns{vec<T, R>(column)...} {}
  constexpr vec<T, R> &operator[](int i) { return columns[i]; }
  constexpr const vec<T, R> &operator[](int i) const { return columns[i]; }
  friend vec<T, R> operator*(const matrix &m, vec<T, C> v) {
    vec<T, R> r = T(0);
    for (int i = 0; i < C; ++i) r += m.columns[i] * vec<T, R>(v.e[i]);
    return r;
  }
  friend matrix operator*(const matrix &m, T s) {
    matrix r;
    for (int i = 0; i < C; ++i) r.columns[i] = m.columns[i] * vec<T, R>(s);
    return r;
  }
  friend matrix operator+(const matrix &a, const matrix &b) {
    matrix r;
    for (int i = 0; i < C; ++i) r.columns[i] = a.columns[i] + b.columns[i];
    return r;
  }
};
#define MSL_MATRICES(T)            \
  typedef matrix<T, 2, 2> T##2x2;  \
  typedef matrix<T, 3, 3> T##3x3;  \
  typedef matrix<T, 4, 4> T##4x4;  \
  typedef matrix<T, 2, 4> T##2x4;  \
  typedef matrix<T, 4, 2> T##4x2;
MSL_MATRICES(float)
MSL_MATRICES(half)
#undef MSL_MATRICES

template <class T, size_t N>
struct array {
  T elements[N];
  constexpr T &operator[](size_t i) {
    if (i >= N) __builtin_trap();
    return elements[i];
  }
  constexpr const T &operator[](size_t i) const {
    if (i >= N) __builtin_trap();
    return elements[i];
  }
  static constexpr size_t size() { return N; }
};
}  // namespace metal
