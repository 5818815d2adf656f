// Block formats of GGUF as floats, sixteen elements at a time; packages/ir/src/blocks.ts describes them. Blocks have 34, 18, 144, 176 and 210
// bytes: those of q4_k and q5_k lie at multiples of 16, since operands begin there; the others at even addresses.
// Decoded values are those of the reference bit for bit: every product of a scale and a code is exact in f32.
#pragma once
#include "common.h"

// Elements of a run: they share one scale and one minimum in every format.
constexpr constant uint RUN = 16;

inline bool is_block(uint dtype) { return dtype >= Q8_0; }
inline bool has_minimum(uint dtype) { return dtype == Q4_K || dtype == Q5_K; }

// Bytes of a row of k elements.
inline ulong row_bytes(uint dtype, uint k) {
  switch (dtype) {
    case Q8_0: return ulong(k / 32) * 34;
    case Q4_0: return ulong(k / 32) * 18;
    case Q4_K: return ulong(k / 256) * 144;
    case Q5_K: return ulong(k / 256) * 176;
    case Q6_K: return ulong(k / 256) * 210;
    case F32: return ulong(k) * 4;
    default: return ulong(k) * 2;
  }
}

// Sixteen bytes at an even address.
inline uint4 load_bytes(device const uchar *data) {
  device const ushort *h = (device const ushort *)data;
  return uint4(h[0] | uint(h[1]) << 16, h[2] | uint(h[3]) << 16, h[4] | uint(h[5]) << 16, h[6] | uint(h[7]) << 16);
}

// Scale and minimum of sub-block j (0..7) from the 12 bytes of q4_k and q5_k.
inline float2 sub_block_scales(device const uchar *s, uint j) {
  if (j < 4) return float2(s[j] & 63, s[j + 4] & 63);
  return float2((s[j + 4] & 15) | (s[j - 4] >> 6) << 4, s[j + 4] >> 4 | (s[j] >> 6) << 4);
}

// Element i: code[i] * scale - minimum; codes are signed bytes, four to a word.
struct Run {
  uint4 codes;
  float scale;
  float minimum;
};

// Each byte less `centre`; bytes and `centre` are below 64, so none borrows from its neighbour.
inline uint4 centred(uint4 bytes, uint centre) { return ((bytes | 0x80808080u) - centre * 0x01010101u) ^ 0x80808080u; }

// Run `index` of a row of a block format.
inline Run load_run(device const uchar *row, uint dtype, uint index) {
  Run run;
  run.minimum = 0.0f;
  if (dtype == Q8_0) {
    device const uchar *block = row + ulong(index / 2) * 34;
    run.codes = load_bytes(block + 2 + index % 2 * 16);
    run.scale = *(device const half *)block;
    return run;
  }
  if (dtype == Q4_0) {
    device const uchar *block = row + ulong(index / 2) * 18;
    run.codes = centred(load_bytes(block + 2) >> (index % 2 * 4) & 0x0f0f0f0fu, 8);
    run.scale = *(device const half *)block;
    return run;
  }
  const uint part = index % 16;
  if (dtype == Q6_K) {
    // Runs of a half of 128: low nibbles of 32 + 32 bytes, then their high nibbles; two more bits per element in 32 bytes.
    device const uchar *block = row + ulong(index / 16) * 210;
    const uint side = part / 8, quarter = part % 8 / 2, from = part % 2 * 16;
    const uint4 low = load_bytes(block + side * 64 + quarter % 2 * 32 + from) >> (quarter / 2 * 4) & 0x0f0f0f0fu;
    const uint4 high = load_bytes(block + 128 + side * 32 + from) >> (quarter * 2) & 0x03030303u;
    run.codes = centred(low | high << 4, 32);
    run.scale = float(*(device const half *)(block + 208)) * float(as_type<char>(block[192 + part]));
    return run;
  }
  // q4_k and q5_k: sub-blocks of 32, two in the nibbles of 32 bytes; q5_k has a fifth bit of sub-block j in bit j of 32 more bytes.
  const uint sub = part / 2, from = part % 2 * 16;
  device const uchar *block = row + ulong(index / 16) * (dtype == Q4_K ? 144 : 176);
  device const uchar *nibbles = block + (dtype == Q4_K ? 16 : 48) + sub / 2 * 32;
  run.codes = *(device const uint4 *)(nibbles + from) >> (sub % 2 * 4) & 0x0f0f0f0fu;
  if (dtype == Q5_K) run.codes |= (*(device const uint4 *)(block + 16 + from) >> sub & 0x01010101u) << 4;
  const float2 scales = sub_block_scales(block + 4, sub);
  run.scale = float(*(device const half *)block) * scales.x;
  run.minimum = float(*(device const half *)(block + 2)) * scales.y;
  return run;
}

// Elements 4 j to 4 j + 3 of a run.
inline float4 decoded(Run run, uint dtype, uint j) {
  const float4 codes = float4(as_type<char4>(run.codes[j]));
  return has_minimum(dtype) ? fma(codes, float4(run.scale), float4(-run.minimum)) : codes * run.scale;
}
