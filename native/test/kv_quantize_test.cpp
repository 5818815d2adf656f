// Quantized KV caches: rotations against their matrix, the error of every codec against theory, places, and calls that must change nothing.
#include <cmath>
#include <cstring>

#include "harness.h"

namespace rlx_test {
namespace {

struct Codec {
  double param;
  int64_t dim, bytes, norms;
  double nrmse;  // of normal values
};

std::vector<Codec> codecs() {
  struct Width {
    int bits;
    double v1, v2;
  };
  constexpr Width kWidths[] = {{4, 0.09747, 0.09747}, {5, 0.05005, 0.05005}, {6, 0.02547, 0.02538}, {8, 0.00792, 0.00642}};
  std::vector<Codec> all;
  for (const Width& w : kWidths) {
    for (const int64_t dim : {256, 512}) all.push_back({static_cast<double>(w.bits), dim, w.bits == 4 ? dim / 2 : dim, dim / 256, w.v1});
    for (const int64_t dim : {16, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512})
      all.push_back({16.0 + w.bits, dim, dim * w.bits / 8, dim > 256 ? 2 : 1, w.v2});
  }
  return all;
}

Tensor normals(Random& random, std::vector<int64_t> dims) {
  Tensor t(RLX_F32, dims);
  for (size_t i = 0; i < t.size(); i++) {
    double sum = 0;  // of twelve uniforms: close to normal, and the same on every machine
    for (int k = 0; k < 12; k++) sum += random.uniform(-0.5, 0.5);
    t.set(i, sum);
  }
  return t;
}

void test_rotations(Suite& suite) {
  Random random(31);
  for (const int64_t n : {1, 2, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512}) {
    Tensor x = normals(random, {3, n}), once(RLX_F32, {3, n}), back(RLX_F32, {3, n});
    suite.run("fwht", {&x}, {&once}, {1});
    suite.run("fwht", {&once}, {&back}, {2});
    for (size_t i = 0; i < x.size(); i++) suite.near("fwht and back", back.get(i), x.get(i), 2e-5);
    suite.digest(once);
    suite.run("fwht", {&x}, {&once}, {0});
    suite.digest(once);
    if ((n & (n - 1)) != 0) continue;
    for (int64_t r = 0; r < 3; r++)
      for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++) {
          int odd = 0;
          for (int64_t b = i & j; b != 0; b &= b - 1) odd ^= 1;
          sum += (odd ? -1 : 1) * x.get(static_cast<size_t>(r * n + j));
        }
        suite.near("fwht", once.get(static_cast<size_t>(r * n + i)), sum / std::sqrt(static_cast<double>(n)), 1e-5);
      }
  }
}

void test_codecs(Suite& suite) {
  Random random(32);
  Tensor pos(RLX_I32, {});
  for (const Codec& c : codecs()) {
    constexpr int64_t kTokens = 24;
    Tensor packed(RLX_U8, {1, 2, kTokens, c.bytes}), norms(RLX_F32, {1, 2, kTokens, c.norms}), x = normals(random, {1, kTokens, 2 * c.dim}), back(RLX_F32, x.dims);
    const double dim = static_cast<double>(c.dim);
    suite.run("kv_quantize", {&packed, &norms, &x, &pos, nullptr, nullptr, nullptr}, {&packed, &norms}, {1, 0, 0, 0, c.param, dim});
    suite.run("kv_dequantize", {&packed, &norms, &pos}, {&back}, {1, 0, c.param, dim, 1});
    double error = 0, energy = 0;
    for (size_t i = 0; i < x.size(); i++) {
      error += (back.get(i) - x.get(i)) * (back.get(i) - x.get(i));
      energy += x.get(i) * x.get(i);
    }
    suite.near("error of a codec over theory", std::sqrt(error / energy) / c.nrmse, 1, 0.12);
    suite.digest(packed);
    suite.digest(norms);
    suite.digest(back);
  }
}

// Two tokens across the end of a ring, into the second of two sequences, K and V in formats of their own: slots 3 and 0 are what single writes give.
void test_places(Suite& suite) {
  Random random(33);
  Tensor pos(RLX_I32, {1}), slots(RLX_I32, {1}), zero(RLX_I32, {});
  pos.set(0, 7);
  slots.set(0, 1);
  Tensor k = normals(random, {1, 2, 96}), v = normals(random, {1, 2, 160});
  Tensor k_packed(RLX_U8, {2, 4, 2 * 24}), k_norms(RLX_F32, {2, 4, 2}), v_packed(RLX_U8, {2, 4, 2 * 60}), v_norms(RLX_F32, {2, 4, 2});
  suite.run("kv_quantize_pair", {&k_packed, &k_norms, &v_packed, &v_norms, &k, &v, &pos, &slots, nullptr, nullptr}, {&k_packed, &k_norms, &v_packed, &v_norms},
            {0, 0, 1, 0, 20, 48, 22, 80});
  Tensor k_alone(RLX_U8, {1, 2, 2 * 24}), k_each(RLX_F32, {1, 2, 2}), v_alone(RLX_U8, {1, 2, 2 * 60}), v_each(RLX_F32, {1, 2, 2});
  suite.run("kv_quantize", {&k_alone, &k_each, &k, &zero, nullptr, nullptr, nullptr}, {&k_alone, &k_each}, {0, 0, 0, 0, 20, 48});
  suite.run("kv_quantize", {&v_alone, &v_each, &v, &zero, nullptr, nullptr, nullptr}, {&v_alone, &v_each}, {0, 0, 0, 0, 22, 80});
  const auto expected = [](const Tensor& cache, const Tensor& alone) {
    std::vector<uint8_t> bytes(cache.bytes.size());
    const size_t row = alone.bytes.size() / 2;
    std::memcpy(&bytes[(4 + 3) * row], &alone.bytes[0], row);
    std::memcpy(&bytes[4 * row], &alone.bytes[row], row);
    return bytes;
  };
  suite.expect(k_packed.bytes == expected(k_packed, k_alone) && k_norms.bytes == expected(k_norms, k_each), "kv_quantize_pair: K");
  suite.expect(v_packed.bytes == expected(v_packed, v_alone) && v_norms.bytes == expected(v_norms, v_each), "kv_quantize_pair: V");

  const std::vector<uint8_t> before = k_packed.bytes;
  Tensor late(RLX_I32, {});
  late.set(0, 3);
  const auto fails = [&](const char* what, const Tensors& in, const Tensors& out, const std::vector<double>& params) {
    suite.expect(!suite.call("kv_quantize", in, out, params).empty(), std::string("kv_quantize: ") + what);
    suite.expect(k_packed.bytes == before, std::string("kv_quantize changed: ") + what);
  };
  fails("beyond the capacity", {&k_packed, &k_norms, &k, &late, &slots, nullptr, nullptr}, {&k_packed, &k_norms}, {0, 0, 0, 0, 20, 48});
  for (const double codec : {0.0, 7.0, 23.0, 36.0, 1e9, -1.0, 4.0})
    fails("no codec", {&k_packed, &k_norms, &k, &zero, &slots, nullptr, nullptr}, {&k_packed, &k_norms}, {0, 0, 0, 0, codec, 48});
  fails("heads of another size", {&k_packed, &k_norms, &k, &zero, &slots, nullptr, nullptr}, {&k_packed, &k_norms}, {0, 0, 0, 0, 20, 32});
  fails("norms of another cache", {&k_packed, &k_each, &k, &zero, &slots, nullptr, nullptr}, {&k_packed, &k_each}, {0, 0, 0, 0, 20, 48});
}

}  // namespace

void test_kv_quantize(Suite& suite) {
  test_rotations(suite);
  test_codecs(suite);
  test_places(suite);
}

}  // namespace rlx_test
