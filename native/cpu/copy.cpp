// Ops that only move elements: one strided copy serves them all.
#include "blocks.h"
#include "shape.h"

namespace rlx {
namespace RLX_BASE {
namespace {

// A region of a tensor, in bytes. dims[rank - 1] counts units of `unit` bytes.
struct Region {
  size_t unit;
  int32_t rank;
  size_t dims[RLX_MAX_RANK];
  ptrdiff_t from[RLX_MAX_RANK], to[RLX_MAX_RANK];  // strides
};

// Axes that are contiguous on both sides become one; what is contiguous at the end becomes the unit.
void simplify(Region& r) {
  int32_t n = 0;
  for (int32_t i = 0; i < r.rank; i++) {
    if (r.dims[i] == 1) continue;
    const auto d = static_cast<ptrdiff_t>(r.dims[i]);
    if (n > 0 && r.from[n - 1] == r.from[i] * d && r.to[n - 1] == r.to[i] * d) {
      r.dims[n - 1] *= r.dims[i];
      r.from[n - 1] = r.from[i];
      r.to[n - 1] = r.to[i];
    } else {
      r.dims[n] = r.dims[i];
      r.from[n] = r.from[i];
      r.to[n++] = r.to[i];
    }
  }
  r.rank = n;
  if (n > 0 && r.from[n - 1] == static_cast<ptrdiff_t>(r.unit) && r.to[n - 1] == static_cast<ptrdiff_t>(r.unit)) {
    r.unit *= r.dims[n - 1];
    r.rank--;
  }
}

template <class U>
void copy_units(const uint8_t* from, ptrdiff_t from_stride, uint8_t* to, ptrdiff_t to_stride, size_t n) {
  for (size_t i = 0; i < n; i++) {
    U v;
    memcpy(&v, from + static_cast<ptrdiff_t>(i) * from_stride, sizeof(U));
    memcpy(to + static_cast<ptrdiff_t>(i) * to_stride, &v, sizeof(U));
  }
}

void copy_region(rlx_pool* pool, const uint8_t* from, uint8_t* to, Region r) {
  for (int32_t i = 0; i < r.rank; i++)
    if (r.dims[i] == 0) return;
  if (r.unit == 0) return;
  simplify(r);
  if (r.rank == 0) {
    constexpr size_t PIECE = 1 << 18;
    parallel_chunks(pool, r.unit, PIECE, [&](size_t begin, size_t end) { memmove(to + begin, from + begin, end - begin); });
    return;
  }
  const int32_t inner = r.rank - 1;
  size_t rows = 1;
  for (int32_t i = 0; i < inner; i++) rows *= r.dims[i];
  const size_t n = r.dims[inner];
  parallel_chunks(pool, rows, rows_per_task(n * r.unit / 4), [&](size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++) {
      const uint8_t* p = from;
      uint8_t* q = to;
      size_t rest = row;
      for (int32_t d = inner - 1; d >= 0; d--) {
        const auto index = static_cast<ptrdiff_t>(rest % r.dims[d]);
        rest /= r.dims[d];
        p += index * r.from[d];
        q += index * r.to[d];
      }
      if (r.unit == 4) copy_units<uint32_t>(p, r.from[inner], q, r.to[inner], n);
      else if (r.unit == 2) copy_units<uint16_t>(p, r.from[inner], q, r.to[inner], n);
      else if (r.unit == 8) copy_units<uint64_t>(p, r.from[inner], q, r.to[inner], n);
      else if (r.unit == 1) copy_units<uint8_t>(p, r.from[inner], q, r.to[inner], n);
      else
        for (size_t i = 0; i < n; i++) memcpy(q + static_cast<ptrdiff_t>(i) * r.to[inner], p + static_cast<ptrdiff_t>(i) * r.from[inner], r.unit);
    }
  });
}

// Extents in units (elements, or blocks along the last axis) and row-major strides in bytes.
struct Layout {
  size_t unit;
  size_t dims[RLX_MAX_RANK];
  ptrdiff_t strides[RLX_MAX_RANK];
};
size_t elements_per_unit(int32_t dtype) { return element_bytes(dtype) > 0 ? 1 : block_elements(dtype); }
bool layout_of(const rlx_tensor& t, Layout& l) {
  const size_t per_unit = elements_per_unit(t.dtype);
  l.unit = per_unit == 1 ? element_bytes(t.dtype) : block_bytes(t.dtype);
  ptrdiff_t stride = static_cast<ptrdiff_t>(l.unit);
  for (int32_t i = t.rank - 1; i >= 0; i--) {
    l.dims[i] = static_cast<size_t>(t.dims[i]);
    if (i == t.rank - 1) {
      if (l.dims[i] % per_unit != 0) return false;
      l.dims[i] /= per_unit;
    }
    l.strides[i] = stride;
    stride *= static_cast<ptrdiff_t>(l.dims[i]);
  }
  return per_unit == 1 || t.rank > 0;
}

// in: x; out: the same bytes under another shape. The value is the last operand (of a state_write: after the state).
const char* copy(const rlx_args* args) {
  RLX_REQUIRE(args->n_in >= 1 && given(args, args->n_in, 1, 0), "operands");
  const rlx_tensor &x = args->in[args->n_in - 1], &out = args->out[0];
  RLX_REQUIRE(x.dtype == out.dtype && x.bytes == out.bytes, "output: expected the size and dtype of x");
  if (x.data != out.data) copy_region(args->pool, x.data, out.data, {x.bytes, 0, {}, {}, {}});
  return nullptr;
}

// in: x; params: perm.
const char* transpose(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 0), "operands");
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  RLX_REQUIRE(x.dtype == out.dtype && x.rank == out.rank && args->n_params == static_cast<size_t>(x.rank), "perm: expected one axis each");
  Layout a, b;
  RLX_REQUIRE(layout_of(x, a) && layout_of(out, b), "x: expected whole blocks");
  Region r = {a.unit, x.rank, {}, {}, {}};
  uint32_t seen = 0;
  for (int32_t i = 0; i < x.rank; i++) {
    const int32_t p = axis_param(args, static_cast<size_t>(i), x.rank);
    RLX_REQUIRE(p >= 0 && !(seen >> p & 1), "perm: expected each axis once");
    RLX_REQUIRE(x.dims[p] == out.dims[i], "output: expected the permuted shape");
    RLX_REQUIRE(element_bytes(x.dtype) > 0 || i < x.rank - 1 || p == i, "perm: expected the axis of the blocks to stay last");
    seen |= 1u << p;
    r.dims[i] = b.dims[i];
    r.from[i] = a.strides[p];
    r.to[i] = b.strides[i];
  }
  copy_region(args->pool, x.data, out.data, r);
  return nullptr;
}

// in: x; out: broadcast to the shape.
const char* expand(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 0), "operands");
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  RLX_REQUIRE(x.dtype == out.dtype && x.rank <= out.rank, "output: expected a shape that x broadcasts to");
  Layout a, b;
  RLX_REQUIRE(layout_of(x, a) && layout_of(out, b), "x: expected whole blocks");
  Region r = {a.unit, out.rank, {}, {}, {}};
  const int32_t shift = out.rank - x.rank;
  for (int32_t i = 0; i < out.rank; i++) {
    const int64_t d = i < shift ? 1 : x.dims[i - shift];
    RLX_REQUIRE(d == 1 || d == out.dims[i], "output: expected a shape that x broadcasts to");
    r.dims[i] = b.dims[i];
    r.from[i] = d == 1 ? 0 : a.strides[i - shift];
    r.to[i] = b.strides[i];
  }
  copy_region(args->pool, x.data, out.data, r);
  return nullptr;
}

// in: x; params: axis, start.
const char* slice(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 2), "operands");
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  const int32_t axis = axis_param(args, 0, x.rank);
  RLX_REQUIRE(axis >= 0 && x.dtype == out.dtype && x.rank == out.rank, "output: expected the rank and dtype of x");
  Layout a, b;
  RLX_REQUIRE(layout_of(x, a) && layout_of(out, b), "x: expected whole blocks");
  Region r = {a.unit, x.rank, {}, {}, {}};
  for (int32_t i = 0; i < x.rank; i++) {
    RLX_REQUIRE(i == axis || x.dims[i] == out.dims[i], "output: expected the extents of x");
    r.dims[i] = b.dims[i];
    r.from[i] = a.strides[i];
    r.to[i] = b.strides[i];
  }
  const double start = args->params[1];
  RLX_REQUIRE(start >= 0 && start + static_cast<double>(out.dims[axis]) <= static_cast<double>(x.dims[axis]), "start: the slice is outside of x");
  // Along the axis of the blocks, the start counts elements, the strides blocks.
  const size_t block = axis == x.rank - 1 ? elements_per_unit(x.dtype) : 1;
  RLX_REQUIRE(static_cast<size_t>(start) % block == 0, "start: expected whole blocks");
  copy_region(args->pool, x.data + static_cast<ptrdiff_t>(static_cast<size_t>(start) / block) * a.strides[axis], out.data, r);
  return nullptr;
}

// in: any number; params: axis.
const char* concat(const rlx_args* args) {
  RLX_REQUIRE(args->n_in >= 1 && given(args, args->n_in, 1, 1), "operands");
  const rlx_tensor& out = args->out[0];
  const int32_t axis = axis_param(args, 0, out.rank);
  Layout b;
  RLX_REQUIRE(axis >= 0 && layout_of(out, b), "output: expected whole blocks");
  int64_t total = 0;
  for (size_t k = 0; k < args->n_in; k++) {
    const rlx_tensor& x = args->in[k];
    Layout a;
    RLX_REQUIRE(x.dtype == out.dtype && x.rank == out.rank && layout_of(x, a), "operand: expected the rank and dtype of the output");
    for (int32_t i = 0; i < x.rank; i++) RLX_REQUIRE(i == axis || x.dims[i] == out.dims[i], "operand: expected the extents of the output");
    total += x.dims[axis];
  }
  RLX_REQUIRE(total == out.dims[axis], "output: expected the sum of the extents");
  uint8_t* target = out.data;
  for (size_t k = 0; k < args->n_in; k++) {
    Layout a;
    layout_of(args->in[k], a);
    Region r = {a.unit, out.rank, {}, {}, {}};
    for (int32_t i = 0; i < out.rank; i++) {
      r.dims[i] = a.dims[i];
      r.from[i] = a.strides[i];
      r.to[i] = b.strides[i];
    }
    copy_region(args->pool, args->in[k].data, target, r);
    target += static_cast<ptrdiff_t>(a.dims[axis]) * b.strides[axis];
  }
  return nullptr;
}

// in: x; params: value, then the elements before each axis.
const char* pad(const rlx_args* args) {
  RLX_REQUIRE(given(args, 1, 1, 0), "operands");
  const rlx_tensor &x = args->in[0], &out = args->out[0];
  RLX_REQUIRE(x.dtype == out.dtype && x.rank == out.rank && element_bytes(x.dtype) > 0, "output: expected the rank and dtype of x");
  RLX_REQUIRE(args->n_params == static_cast<size_t>(x.rank) + 1, "before: expected one count per axis");
  Layout a, b;
  layout_of(x, a);
  layout_of(out, b);
  Region r = {a.unit, x.rank, {}, {}, {}};
  uint8_t* target = out.data;
  for (int32_t i = 0; i < x.rank; i++) {
    const double before = args->params[i + 1];
    RLX_REQUIRE(before >= 0 && before + static_cast<double>(x.dims[i]) <= static_cast<double>(out.dims[i]), "output: expected room for x");
    r.dims[i] = a.dims[i];
    r.from[i] = a.strides[i];
    r.to[i] = b.strides[i];
    target += static_cast<ptrdiff_t>(before) * b.strides[i];
  }
  const double value = args->params[0];
  parallel_chunks(args->pool, elements(out), 65536, [&](size_t begin, size_t end) {
    double fill[VALUES];
    for (double& v : fill) v = value;
    for (size_t i = begin; i < end; i += VALUES) store_run(out.data, out.dtype, i, fill, end - i < VALUES ? end - i : VALUES);
  });
  copy_region(args->pool, x.data, target, r);
  return nullptr;
}

// params: axis. The index along the axis.
const char* iota(const rlx_args* args) {
  RLX_REQUIRE(given(args, 0, 1, 1), "operands");
  const rlx_tensor& out = args->out[0];
  const int32_t axis = axis_param(args, 0, out.rank);
  RLX_REQUIRE(axis >= 0 && element_bytes(out.dtype) > 0, "axis: out of range");
  const Lanes l = lanes(out, axis);
  parallel_chunks(args->pool, l.outer * l.length * l.inner, 65536, [&](size_t begin, size_t end) {
    int64_t v[VALUES];
    for (size_t i = begin; i < end; i += VALUES) {
      const size_t m = end - i < VALUES ? end - i : VALUES;
      for (size_t k = 0; k < m; k++) v[k] = static_cast<int64_t>((i + k) / l.inner % l.length);
      store_run(out.data, out.dtype, i, v, m);
    }
  });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {
    {"copy", copy}, {"transpose", transpose}, {"expand", expand}, {"slice", slice}, {"concat", concat}, {"pad", pad}, {"iota", iota},
};

}  // namespace

rlx_kernel_list copy_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
