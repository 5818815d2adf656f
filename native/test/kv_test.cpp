// Writes into KV caches against plain loops: every pair of dtypes, both layouts, rings, slots, parts of sources; errors change nothing.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "harness.h"

namespace rlx_test {
namespace {

constexpr int32_t kFloats[] = {RLX_F32, RLX_F16, RLX_BF16, RLX_F64};

size_t stored(int32_t dtype, size_t dim) { return dtype == RLX_Q8_0 ? (dim + 31) / 32 * 32 : dim; }

// Bytes of a vector in a cache.
std::vector<uint8_t> encoded(int32_t dtype, const std::vector<double>& values) {
  if (dtype != RLX_Q8_0) {
    Tensor t(dtype, {static_cast<int64_t>(values.size())});
    for (size_t i = 0; i < values.size(); i++) t.set(i, values[i]);
    return t.bytes;
  }
  std::vector<uint8_t> out(stored(dtype, values.size()) / 32 * 34);
  for (size_t block = 0; block * 32 < values.size(); block++) {
    float x[32] = {}, peak = 0;
    for (size_t i = 0; i < 32 && block * 32 + i < values.size(); i++) x[i] = static_cast<float>(values[block * 32 + i]);
    for (const float v : x) peak = std::max(peak, std::fabs(v));
    const float d = peak / 127.0f, scale = d == 0 ? 0 : 1 / d;
    const uint16_t half = encode_f16(d);
    std::memcpy(&out[block * 34], &half, 2);
    for (size_t i = 0; i < 32; i++) out[block * 34 + 2 + i] = static_cast<uint8_t>(static_cast<int>(std::round(static_cast<double>(x[i] * scale))));
  }
  return out;
}

struct Case {
  bool head, x_head, ring, trim, slots;
  size_t sequences, capacity, rows, tokens, heads;
  std::vector<int64_t> pos, slot, count, offset;  // one per row

  Tensor cache(int32_t dtype, size_t dim) const {
    const auto s = static_cast<int64_t>(sequences), c = static_cast<int64_t>(capacity), h = static_cast<int64_t>(heads), d = static_cast<int64_t>(stored(dtype, dim));
    return head ? Tensor(dtype, {s, h, c, d}) : Tensor(dtype, {s, c, h * d});
  }
  Tensor source(int32_t dtype, size_t dim) const {
    const auto n = static_cast<int64_t>(rows), t = static_cast<int64_t>(tokens), h = static_cast<int64_t>(heads), d = static_cast<int64_t>(dim);
    return x_head ? Tensor(dtype, {n, h, t, d}) : Tensor(dtype, {n, t, h * d});
  }
  std::vector<double> params(size_t dim) const {
    return {static_cast<double>(head), static_cast<double>(x_head), static_cast<double>(ring), static_cast<double>(trim), static_cast<double>(dim)};
  }
  // Token by token, in order: of too many for a ring, the newest stay.
  void expect(Tensor& cache, const Tensor& x, size_t dim) const {
    const size_t unit = encoded(cache.dtype, std::vector<double>(dim)).size();
    for (size_t row = 0; row < rows; row++)
      for (int64_t t = 0; t < count[row]; t++)
        for (size_t h = 0; h < heads; h++) {
          const auto token = static_cast<size_t>(offset[row] + t), at = static_cast<size_t>(pos[row] + t) % capacity, s = static_cast<size_t>(slot[row]);
          const size_t from = (x_head ? (row * heads + h) * tokens + token : (row * tokens + token) * heads + h) * dim;
          std::vector<double> values(dim);
          for (size_t d = 0; d < dim; d++) values[d] = x.get(from + d);
          const std::vector<uint8_t> bytes = encoded(cache.dtype, values);
          std::copy(bytes.begin(), bytes.end(), cache.bytes.begin() + static_cast<std::ptrdiff_t>((head ? (s * heads + h) * capacity + at : (s * capacity + at) * heads + h) * unit));
        }
  }
};

Case random_case(Random& random) {
  Case c = {};
  c.head = random.below(2), c.x_head = random.below(2), c.ring = random.below(2), c.slots = random.below(2);
  c.trim = c.ring && random.below(2);
  c.sequences = 1 + random.below(3), c.capacity = 1 + random.below(7), c.tokens = 1 + random.below(9), c.heads = 1 + random.below(3);
  c.rows = c.slots ? 1 + random.below(c.sequences) : c.sequences;
  std::vector<int64_t> order(c.sequences);
  std::iota(order.begin(), order.end(), 0);
  if (c.slots) std::rotate(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(random.below(c.sequences)), order.end());
  for (size_t row = 0; row < c.rows; row++) {
    const size_t offset = random.below(c.tokens + 1), most = c.trim ? c.tokens - offset : std::min(c.tokens - offset, c.capacity), n = random.below(most + 1);
    c.offset.push_back(static_cast<int64_t>(offset));
    c.count.push_back(static_cast<int64_t>(n));
    c.slot.push_back(order[row]);
    c.pos.push_back(static_cast<int64_t>(c.ring ? random.below(20) : random.below(c.capacity - n + 1)));
  }
  return c;
}

Tensor list(const std::vector<int64_t>& values) {
  Tensor t(RLX_I64, {static_cast<int64_t>(values.size())});
  std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
  return t;
}
Tensor scalar(int64_t value) {
  Tensor t = list({value});
  t.dims = {};
  return t;
}

void writes(Suite& suite, int32_t dtype, int32_t from) {
  Random random(static_cast<uint64_t>(dtype * 16 + from));
  for (int round = 0; round < 40; round++) {
    const Case c = random_case(random);
    const size_t dims[] = {1 + random.below(70), 1 + random.below(40)};
    Tensor caches[] = {c.cache(dtype, dims[0]), c.cache(RLX_F16, dims[1])}, x[] = {c.source(from, dims[0]), c.source(RLX_F32, dims[1])};
    for (Tensor& t : x) t.fill(random, -3, 3);
    Tensor single = caches[0], wanted[] = {caches[0], caches[1]};
    for (int i = 0; i < 2; i++) c.expect(wanted[i], x[i], dims[i]);
    Tensor pos = list(c.pos), slots = list(c.slot), count = list(c.count), offset = list(c.offset);
    Tensor* const where = c.slots ? &slots : nullptr;
    suite.run("kv_write", {&single, &x[0], &pos, where, &count, &offset}, {&single}, c.params(dims[0]));
    suite.expect(single.bytes == wanted[0].bytes, "kv_write");
    std::vector<double> params = c.params(dims[0]);
    params.push_back(static_cast<double>(dims[1]));
    suite.run("kv_write_pair", {&caches[0], &caches[1], &x[0], &x[1], &pos, where, &count, &offset}, {&caches[0], &caches[1]}, params);
    suite.expect(caches[0].bytes == wanted[0].bytes && caches[1].bytes == wanted[1].bytes, "kv_write_pair");
  }
}

void errors(Suite& suite) {
  const auto refuses = [&](const char* what, size_t capacity, int64_t pos, int64_t tokens, int64_t offset, std::vector<int64_t> slot, bool ring) {
    Tensor cache(RLX_F16, {3, static_cast<int64_t>(capacity), 4}), other(RLX_F32, {3, 8, 4}), x(RLX_F32, {2, 5, 4});
    Random random(7);
    cache.fill(random, -1, 1), other.fill(random, -1, 1), x.fill(random, -1, 1);
    Tensor before = cache, other_before = other, p = scalar(pos), n = scalar(tokens), o = scalar(offset), s = list(slot);
    const double wraps = ring ? 1 : 0;
    suite.expect(!suite.call("kv_write", {&cache, &x, &p, &s, &n, &o}, {&cache}, {0, 0, wraps, 0, 0}).empty(), std::string("kv_write: ") + what);
    // The first cache has room: it stays as it is, too.
    suite.expect(!suite.call("kv_write_pair", {&other, &cache, &x, &x, &p, &s, &n, &o}, {&other, &cache}, {0, 0, wraps, 0, 0, 0}).empty(), std::string("kv_write_pair: ") + what);
    suite.expect(cache.bytes == before.bytes && other.bytes == other_before.bytes, std::string("unchanged: ") + what);
  };
  refuses("a position below 0", 8, -1, 2, 0, {0, 1}, true);
  refuses("a position beyond 2^53", 8, int64_t{1} << 53, 2, 0, {0, 1}, true);
  refuses("a position beyond the capacity", 4, 3, 2, 0, {0, 1}, false);
  refuses("more than a ring holds", 4, 0, 5, 0, {0, 1}, true);
  refuses("tokens below 0", 8, 0, -1, 0, {0, 1}, false);
  refuses("tokens beyond the source", 8, 0, 4, 2, {0, 1}, false);
  refuses("an offset below 0", 8, 0, 1, -1, {0, 1}, false);
  refuses("an offset that overflows", 8, 0, 1, INT64_MAX, {0, 1}, false);
  refuses("capacity 0", 0, 0, 1, 0, {0, 1}, true);
  refuses("a sequence that is not there", 8, 0, 1, 0, {0, 3}, false);
  refuses("a sequence below 0", 8, 0, 1, 0, {-1, 0}, false);
  refuses("a sequence twice", 8, 0, 1, 0, {2, 2}, false);
}

void linearize(Suite& suite) {
  Tensor src(RLX_U8, {2, 5, 3}), dst(RLX_U8, {2, 6, 3}), end = scalar(8), length = list({4, 2});
  for (size_t i = 0; i < src.bytes.size(); i++) src.bytes[i] = static_cast<uint8_t>(i / 15 * 80 + i / 3 % 5 * 10 + i % 3);
  suite.run("kv_linearize_ring", {&dst, &src, &end, &length}, {&dst}, {});
  for (size_t h = 0; h < 2; h++)
    for (size_t row = 0; row < 6; row++)
      for (size_t b = 0; b < 3; b++) {
        const size_t n = h == 0 ? 4 : 2;
        suite.same("kv_linearize_ring", dst.bytes[(h * 6 + row) * 3 + b], static_cast<double>(row < n ? h * 80 + (8 - n + row) % 5 * 10 + b : 0));
      }
  const Tensor before = dst;
  for (const int64_t wrong : {int64_t{-1}, int64_t{6}, INT64_MAX}) {
    length = scalar(wrong);
    suite.expect(!suite.call("kv_linearize_ring", {&dst, &src, &end, &length}, {&dst}, {}).empty(), "kv_linearize_ring: length");
  }
  length = scalar(4);
  end = scalar(3);
  suite.expect(!suite.call("kv_linearize_ring", {&dst, &src, &end, &length}, {&dst}, {}).empty(), "kv_linearize_ring: end");
  suite.expect(!suite.call("kv_linearize_ring", {&src, &src, &length, &length}, {&src}, {}).empty(), "kv_linearize_ring: in place");
  suite.expect(dst.bytes == before.bytes, "kv_linearize_ring: unchanged");
}

}  // namespace

void test_kv(Suite& suite) {
  for (const int32_t from : kFloats) {
    for (const int32_t dtype : kFloats) writes(suite, dtype, from);
    writes(suite, RLX_Q8_0, from);
  }
  errors(suite);
  linearize(suite);
}

}  // namespace rlx_test
