#include "harness.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>

namespace rlx_test {
namespace {

struct FloatFormat {
  int mantissa, least;  // bits, exponent of the smallest normal number
  uint16_t infinity;
};
constexpr FloatFormat kHalf{10, -14, 0x7c00}, kBrain{7, -126, 0x7f80};

double decode(uint16_t bits, FloatFormat f) {
  const int exponent = (bits & 0x7fff) >> f.mantissa;
  const int fraction = bits & ((1 << f.mantissa) - 1);
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if ((bits & f.infinity) == f.infinity) return fraction ? NAN : sign * INFINITY;
  if (exponent == 0) return sign * std::ldexp(fraction, f.least - f.mantissa);
  return sign * std::ldexp(fraction + (1 << f.mantissa), f.least - f.mantissa + exponent - 1);
}

uint16_t encode(double value, FloatFormat f) {
  const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000 : 0);
  if (std::isnan(value)) return static_cast<uint16_t>(sign | f.infinity | 1 << (f.mantissa - 1));
  const double a = std::fabs(value);
  if (a == 0) return sign;
  if (std::isinf(a)) return static_cast<uint16_t>(sign | f.infinity);
  const int exponent = std::max(std::ilogb(a), f.least);
  // An integer with the hidden bit; rounding up into the next binade carries into the exponent by itself.
  const double units = std::nearbyint(std::ldexp(a, f.mantissa - exponent));
  const double code = std::ldexp(exponent - f.least, f.mantissa) + units;
  return static_cast<uint16_t>(sign | (code >= f.infinity ? f.infinity : static_cast<uint16_t>(code)));
}

template <class T>
double read(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return static_cast<double>(v);
}
template <class T>
void write(uint8_t* p, double value) {
  const T v = static_cast<T>(value);
  std::memcpy(p, &v, sizeof v);
}

alignas(64) uint8_t scratch[1 << 22];

}  // namespace

uint64_t Random::bits() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
double Random::uniform(double low, double high) { return low + (high - low) * std::ldexp(static_cast<double>(bits() >> 11), -53); }

double decode_f16(uint16_t bits) { return decode(bits, kHalf); }
double decode_bf16(uint16_t bits) { return decode(bits, kBrain); }
uint16_t encode_f16(double value) { return encode(value, kHalf); }
uint16_t encode_bf16(double value) { return encode(value, kBrain); }

bool is_block(int32_t dtype) { return dtype >= RLX_Q8_0; }
size_t dtype_bytes(int32_t dtype, size_t elements) {
  constexpr size_t plain[] = {4, 2, 2, 8, 1, 1, 2, 4, 4, 8, 1}, block[] = {34, 18, 144, 176, 210};
  if (!is_block(dtype)) return elements * plain[dtype];
  return elements / (dtype <= RLX_Q4_0 ? 32 : 256) * block[dtype - RLX_Q8_0];
}
double roundoff(int32_t dtype) { return std::ldexp(1, dtype == RLX_F64 ? -53 : dtype == RLX_F16 ? -11 : dtype == RLX_BF16 ? -8 : -24); }
double tiniest(int32_t dtype) { return std::ldexp(1, dtype == RLX_F64 ? -1074 : dtype == RLX_F16 ? -24 : dtype == RLX_BF16 ? -133 : -149); }

Tensor::Tensor(int32_t dtype, std::vector<int64_t> dims) : dtype(dtype), dims(std::move(dims)) { bytes.resize(dtype_bytes(dtype, size())); }

size_t Tensor::size() const {
  size_t n = 1;
  for (const int64_t d : dims) n *= static_cast<size_t>(d);
  return n;
}

Tensor& Tensor::fill(Random& random, double low, double high) {
  if (is_block(dtype)) {
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(random.bits());
    const size_t stride = dtype_bytes(dtype, 32);
    for (size_t at = 0; at < bytes.size(); at += stride) {
      const uint16_t scale = encode_f16(random.uniform(low, high));
      std::memcpy(bytes.data() + at, &scale, 2);
    }
    return *this;
  }
  for (size_t i = 0, n = size(); i < n; i++) set(i, random.uniform(low, high));
  return *this;
}

double Tensor::get(size_t i) const {
  const uint8_t* p = bytes.data() + (is_block(dtype) ? i / 32 * dtype_bytes(dtype, 32) : dtype_bytes(dtype, i));
  uint16_t half = 0;
  if (dtype == RLX_F16 || dtype == RLX_BF16 || is_block(dtype)) std::memcpy(&half, p, 2);
  switch (dtype) {
    case RLX_F32: return read<float>(p);
    case RLX_F16: return decode_f16(half);
    case RLX_BF16: return decode_bf16(half);
    case RLX_F64: return read<double>(p);
    case RLX_I8: return read<int8_t>(p);
    case RLX_I16: return read<int16_t>(p);
    case RLX_I32: return read<int32_t>(p);
    case RLX_U32: return read<uint32_t>(p);
    case RLX_I64: return read<int64_t>(p);
    case RLX_Q8_0: return decode_f16(half) * static_cast<int8_t>(p[2 + i % 32]);
    case RLX_Q4_0: return decode_f16(half) * ((i % 32 < 16 ? p[2 + i % 16] & 15 : p[2 + i % 16] >> 4) - 8);
    default: return *p;
  }
}

void Tensor::set(size_t i, double value) {
  uint8_t* p = bytes.data() + dtype_bytes(dtype, i);
  switch (dtype) {
    case RLX_F32: return write<float>(p, value);
    case RLX_F16: return write<uint16_t>(p, encode_f16(value));
    case RLX_BF16: return write<uint16_t>(p, encode_bf16(value));
    case RLX_F64: return write<double>(p, value);
    case RLX_I8: return write<int8_t>(p, value);
    case RLX_I16: return write<int16_t>(p, value);
    case RLX_I32: return write<int32_t>(p, value);
    case RLX_U32: return write<uint32_t>(p, value);
    case RLX_I64: return write<int64_t>(p, value);
    default: return write<uint8_t>(p, value);
  }
}

rlx_tensor Tensor::view() {
  rlx_tensor t{bytes.data(), bytes.size(), dtype, static_cast<int32_t>(dims.size()), {}};
  for (size_t i = 0; i < dims.size(); i++) t.dims[i] = dims[i];
  return t;
}

std::string Suite::call(const char* kernel, const Tensors& in, const Tensors& out, const std::vector<double>& params, const std::vector<uint8_t>& blob) {
  rlx_kernel run = nullptr;
  for (size_t i = 0; i < table.n_kernels; i++)
    if (std::strcmp(table.kernels[i].name, kernel) == 0) run = table.kernels[i].run;
  if (!run) return std::string("no kernel ") + kernel;
  std::vector<rlx_tensor> inputs, outputs;
  for (Tensor* t : in) inputs.push_back(t ? t->view() : rlx_tensor{});
  for (Tensor* t : out) outputs.push_back(t->view());
  rlx_args args{inputs.data(), inputs.size(), outputs.data(), outputs.size(), params.data(), params.size(), blob.data(), blob.size(), scratch, sizeof scratch, &alone_};
  std::vector<std::vector<uint8_t>> before, after;
  for (const Tensor* t : out) before.push_back(t->bytes);
  const auto outcome = [&] {
    const char* text = run(&args);
    return std::string(text ? text : "");
  };
  const std::string error = outcome();
  for (size_t i = 0; i < out.size(); i++) {
    after.push_back(out[i]->bytes);
    std::copy(before[i].begin(), before[i].end(), out[i]->bytes.begin());
  }
  args.pool = &crowd_;
  expect(error == outcome(), std::string(kernel) + ": another outcome with more threads");
  for (size_t i = 0; i < out.size(); i++) expect(after[i] == out[i]->bytes, std::string(kernel) + ": other bits with more threads");
  return error;
}

void Suite::run(const char* kernel, const Tensors& in, const Tensors& out, const std::vector<double>& params, const std::vector<uint8_t>& blob) {
  const std::string error = call(kernel, in, out, params, blob);
  expect(error.empty(), std::string(kernel) + ": " + error);
}

Tensor Suite::pack(const char* layout, const Tensor& weight) {
  Tensor packed = weight;
  const int64_t k = weight.dims.back();
  const auto n = static_cast<int64_t>(weight.size()) / k;
  for (size_t i = 0; i < table.n_packers; i++) {
    const rlx_packer_entry& p = table.packers[i];
    if (std::strcmp(p.layout, layout) != 0) continue;
    packed.bytes.assign(p.bytes(weight.dtype, n, k), 0);
    p.pack(weight.dtype, weight.bytes.data(), n, k, packed.bytes.data(), &crowd_);
    return packed;
  }
  expect(false, std::string("no packer ") + layout);
  return packed;
}

bool Suite::expect(bool condition, const std::string& text) {
  checks++;
  // The first few say what is wrong; a broken kernel would fill the screen.
  if (!condition && ++failures <= 20) std::printf("  %s: %s\n", table.isa, text.c_str());
  return condition;
}
void Suite::near(const std::string& what, double got, double expected, double bound) {
  const bool ok = std::fabs(got - expected) <= bound || got == expected || (std::isnan(got) && std::isnan(expected));
  checks++;
  if (!ok) checks--, expect(false, what + ": expected " + std::to_string(expected) + " within " + std::to_string(bound) + ", got " + std::to_string(got));
}
void Suite::same(const std::string& what, double got, double expected) {
  near(what, got, expected, 0);
  if (got == 0 && expected == 0) expect(std::signbit(got) == std::signbit(expected), what + ": sign of zero");
}

void Suite::digest(const Tensor& t) {
  const size_t unit = dtype_bytes(t.dtype, 1);
  for (size_t i = 0, n = t.size(); i < n; i++) {
    const bool nan = std::isnan(t.get(i));
    for (size_t b = 0; b < unit; b++) hash = (hash ^ (nan ? 0xffu : t.bytes[i * unit + b])) * 0x100000001b3u;
  }
}

std::vector<uint8_t> bytecode(Class cls, uint32_t operands, uint32_t registers, std::initializer_list<Step> steps, uint32_t result) {
  std::vector<uint8_t> out;
  const auto word = [&](uint32_t w) { out.insert(out.end(), reinterpret_cast<const uint8_t*>(&w), reinterpret_cast<const uint8_t*>(&w) + 4); };
  for (const uint32_t w : {0x314d5652u, static_cast<uint32_t>(cls), operands, registers, static_cast<uint32_t>(steps.size()), result}) word(w);
  for (const Step& s : steps) {
    for (const uint32_t w : {s.op, s.target, s.a, s.b, s.c, 0u}) word(w);
    uint64_t imm;
    std::memcpy(&imm, &s.imm, 8);
    word(static_cast<uint32_t>(imm));
    word(static_cast<uint32_t>(imm >> 32));
  }
  return out;
}

}  // namespace rlx_test
