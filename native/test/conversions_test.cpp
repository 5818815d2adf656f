// Casts between float formats, through kv_write: every value, every midpoint, NaN with its payload.
#include <cmath>
#include <cstring>

#include "harness.h"

namespace rlx_test {
namespace {

constexpr size_t kAll = 65536;

uint16_t half_at(const Tensor& t, size_t i) {
  uint16_t h;
  std::memcpy(&h, t.bytes.data() + 2 * i, 2);
  return h;
}
uint32_t word_at(const Tensor& t, size_t i) {
  uint32_t w;
  std::memcpy(&w, t.bytes.data() + 4 * i, 4);
  return w;
}

// x [1, 1, W] to a cache of another dtype, and its elements there.
Tensor convert(Suite& suite, Tensor& x, int32_t dtype) {
  const auto width = static_cast<int64_t>(x.size());
  x.dims = {1, 1, width};
  Tensor cache(dtype, {1, 1, width});
  Tensor pos(RLX_I32, {});
  suite.run("kv_write", {&cache, &x, &pos, nullptr, nullptr, nullptr}, {&cache}, {0, 0, 0, 0, 0});
  return cache;
}

Tensor all_values(int32_t dtype) {
  Tensor t(dtype, {static_cast<int64_t>(kAll)});
  for (size_t i = 0; i < kAll; i++) {
    const auto h = static_cast<uint16_t>(i);
    std::memcpy(t.bytes.data() + 2 * i, &h, 2);
  }
  return t;
}

void widen(Suite& suite, int32_t dtype) {
  const bool half = dtype == RLX_F16;
  Tensor x = all_values(dtype);
  const Tensor wide = convert(suite, x, RLX_F32);
  for (size_t i = 0; i < kAll; i++) {
    const auto h = static_cast<uint16_t>(i);
    const double expected = half ? decode_f16(h) : decode_bf16(h);
    if (!std::isnan(expected)) {
      suite.same("widened " + std::to_string(i), wide.get(i), expected);
      continue;
    }
    const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
    const uint32_t bits = half ? sign | 0x7fc00000u | static_cast<uint32_t>(h & 0x3ff) << 13 : static_cast<uint32_t>(h) << 16;
    suite.expect(word_at(wide, i) == bits, "widened NaN " + std::to_string(i));
  }
  Tensor back = wide;
  const Tensor narrow = convert(suite, back, dtype);
  for (size_t i = 0; i < kAll; i++) {
    const uint16_t quiet = half ? 0x200 : 0x40;
    const auto expected = static_cast<uint16_t>(std::isnan(x.get(i)) ? i | quiet : i);
    suite.expect(half_at(narrow, i) == expected, "round trip of " + std::to_string(i));
  }
}

// Midpoints between neighbours, and the numbers of the wider format next to them.
template <class Wide>
void narrow(Suite& suite, int32_t wide, int32_t dtype) {
  const Tensor values = all_values(dtype);
  Tensor x(wide, {static_cast<int64_t>(3 * kAll)});
  for (size_t i = 0; i < kAll; i++) {
    const double a = values.get(i), b = values.get((i & 0x8000) | ((i + 1) & 0x7fff));
    const Wide middle = static_cast<Wide>(std::isfinite(a + b) ? a + (b - a) / 2 : std::isfinite(a) ? a * (1 + roundoff(dtype)) : a);
    x.set(3 * i, static_cast<double>(std::nextafter(middle, Wide(0))));
    x.set(3 * i + 1, static_cast<double>(middle));
    x.set(3 * i + 2, static_cast<double>(std::nextafter(middle, static_cast<Wide>(INFINITY))));
  }
  const Tensor y = convert(suite, x, dtype);
  for (size_t i = 0; i < x.size(); i++) {
    if (std::isnan(x.get(i))) continue;
    const uint16_t expected = dtype == RLX_F16 ? encode_f16(x.get(i)) : encode_bf16(x.get(i));
    suite.expect(half_at(y, i) == expected, "rounded " + std::to_string(x.get(i)));
  }
  suite.digest(y);
}

void head_major(Suite& suite) {
  Random random(1);
  Tensor cache(RLX_F16, {2, 3, 7, 5}), x(RLX_F32, {2, 2, 15}), pos(RLX_I64, {2});
  cache.fill(random, -1, 1);
  x.fill(random, -1, 1);
  pos.set(0, 5);
  const Tensor before = cache;
  suite.run("kv_write", {&cache, &x, &pos, nullptr, nullptr, nullptr}, {&cache}, {1, 0, 0, 0, 0});
  for (size_t b = 0; b < 2; b++)
    for (size_t h = 0; h < 3; h++)
      for (size_t s = 0; s < 7; s++)
        for (size_t d = 0; d < 5; d++) {
          const size_t at = ((b * 3 + h) * 7 + s) * 5 + d, first = b == 0 ? 5 : 0;
          const bool written = s >= first && s < first + 2;
          const double expected = written ? decode_f16(encode_f16(x.get((b * 2 + s - first) * 15 + h * 5 + d))) : before.get(at);
          suite.same("kv_write", cache.get(at), expected);
        }
  pos.set(1, 6);
  suite.expect(!suite.call("kv_write", {&cache, &x, &pos, nullptr, nullptr, nullptr}, {&cache}, {1, 0, 0, 0, 0}).empty(), "kv_write beyond the capacity");
}

}  // namespace

void test_conversions(Suite& suite) {
  for (const int32_t dtype : {RLX_F16, RLX_BF16}) {
    widen(suite, dtype);
    narrow<float>(suite, RLX_F32, dtype);
    narrow<double>(suite, RLX_F64, dtype);
  }
  head_major(suite);
}

}  // namespace rlx_test
