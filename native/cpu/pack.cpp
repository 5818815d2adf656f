#include "pack.h"
#include "blocks.h"
#include "dot_tile.h"
#include "families.h"

namespace rlx {
namespace RLX_ISA {

size_t rows16_bytes(int32_t dtype, size_t n, size_t k) {
  return (n + kPackRows - 1) / kPackRows * (k / 32) * (dtype == RLX_Q4_0 ? kQ4Bytes : kQ8Bytes);
}

namespace {

size_t rows16_packed(int32_t dtype, int64_t n, int64_t k) {
  if (dtype != RLX_Q8_0 && dtype != RLX_Q4_0) return 0;
  return rows16_bytes(dtype, static_cast<size_t>(n), static_cast<size_t>(k));
}

struct Call {
  const uint8_t* source;
  uint8_t* target;
  size_t n, blocks, pieces, block_bytes, target_bytes;
  uint32_t flip;  // the bias in each of four bytes
};

void pack_group(void* context, size_t group) {
  const Call& c = *static_cast<const Call*>(context);
  uint8_t* out = c.target + group * c.blocks * c.target_bytes;
  if ((group + 1) * kPackRows > c.n) memset(out, 0, c.blocks * c.target_bytes);
  for (size_t r = 0; r < kPackRows && group * kPackRows + r < c.n; r++) {
    const uint8_t* row = c.source + (group * kPackRows + r) * c.blocks * c.block_bytes;
    for (size_t b = 0; b < c.blocks; b++) {
      const uint8_t* from = row + b * c.block_bytes;
      uint8_t* to = out + b * c.target_bytes;
      memcpy(to + 2 * r, from, 2);
      for (size_t j = 0; j < c.pieces; j++) {
        uint32_t piece;
        memcpy(&piece, from + 2 + 4 * j, 4);
        piece ^= c.flip;
        memcpy(to + kScaleBytes + 64 * j + 4 * r, &piece, 4);
      }
    }
  }
}

void rows16_pack(int32_t dtype, const uint8_t* source, int64_t n, int64_t k, uint8_t* target, rlx_pool* pool) {
  const bool q4 = dtype == RLX_Q4_0;
  Call call{source, target, static_cast<size_t>(n), static_cast<size_t>(k) / 32, q4 ? 4u : 8u, q4 ? 18u : 34u, q4 ? kQ4Bytes : kQ8Bytes, 0};
  if (!q4) call.flip = static_cast<uint32_t>(kDotBias) * 0x01010101u;
  rlx_parallel(pool, (call.n + kPackRows - 1) / kPackRows, pack_group, &call);
}

// "f16": the rows as they are, each value of a K format rounded to f16.
bool is_k_format(int32_t dtype) { return dtype == RLX_Q4_K || dtype == RLX_Q5_K || dtype == RLX_Q6_K; }

size_t f16_bytes(int32_t dtype, int64_t n, int64_t k) { return is_k_format(dtype) ? static_cast<size_t>(n) * static_cast<size_t>(k) * 2 : 0; }

constexpr size_t kBlock = 256;
constexpr size_t kBlocksPerTask = 64;

struct Decode {
  int32_t dtype;
  const uint8_t* source;
  uint8_t* target;
  size_t blocks;
};

void decode_task(void* context, size_t index) {
  const Decode& c = *static_cast<const Decode*>(context);
  for (size_t b = index * kBlocksPerTask; b < c.blocks && b < (index + 1) * kBlocksPerTask; b++) {
    float values[kBlock];
    RLX_BASE::decode_block(c.dtype, c.source + b * RLX_BASE::block_bytes(c.dtype), values);
    from_f32(RLX_F16, values, kBlock, c.target + b * kBlock * 2);
  }
}

void f16_pack(int32_t dtype, const uint8_t* source, int64_t n, int64_t k, uint8_t* target, rlx_pool* pool) {
  Decode call{dtype, source, target, static_cast<size_t>(n) * static_cast<size_t>(k) / kBlock};
  rlx_parallel(pool, (call.blocks + kBlocksPerTask - 1) / kBlocksPerTask, decode_task, &call);
}

const rlx_packer_entry kPackers[] = {{"rows16", rows16_packed, rows16_pack}, {"f16", f16_bytes, f16_pack}};

}  // namespace

const rlx_packer_entry* packers(size_t* count) {
  *count = sizeof kPackers / sizeof *kPackers;
  return kPackers;
}

}  // namespace RLX_ISA
}  // namespace rlx
