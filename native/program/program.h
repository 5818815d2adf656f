// A program as the executor holds it: what packages/runtime/src/program.ts describes, decoded once.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "../cpu/kernel.h"

namespace rlx {

// A polynomial with integer coefficients over the program's symbols.
struct Dim {
  struct Term {
    double coef;
    std::vector<uint32_t> symbols;
  };
  std::vector<Term> terms;
  double eval(const std::vector<double>& extents) const {
    double sum = 0;
    for (const Term& t : terms) {
      double v = t.coef;
      for (uint32_t s : t.symbols) v *= extents[s];
      sum += v;
    }
    return sum;
  }
};

enum class BufferKind : uint8_t { input, output, state, constant, weight, arena };

struct Buffer {
  BufferKind kind;
  int32_t dtype;
  std::vector<Dim> shape;
  size_t bytes;   // at the upper bound of every extent
  size_t offset;  // in the arena
};

struct OperandDesc {
  bool present;
  bool packed;  // a weight in a kernel's own layout: its bytes do not follow from its shape
  uint32_t buffer;
  int32_t dtype;
  Dim offset;
  std::vector<Dim> shape;
};

struct StepDesc {
  rlx_kernel run;  // NULL: runs outside, as a TypeScript reference
  std::vector<OperandDesc> inputs, outputs;
  std::vector<Dim> params;
  std::vector<uint8_t> blob;
  size_t scratch_offset, scratch_bytes;
};

struct SymbolDesc {
  double min, max;
};

struct ProgramDesc {
  std::vector<SymbolDesc> symbols;
  std::vector<Buffer> buffers;
  std::vector<StepDesc> steps;
  size_t arena_bytes;
};

struct BlobView {
  const uint8_t* data;
  size_t bytes;
};

// Decode the word stream that packages/backend-cpu/src/encode.ts writes. Every count and index is checked; on failure returns
// false with the reason in `error`.
bool decode_program(const double* words, size_t count, const std::vector<std::string>& kernels, const std::vector<BlobView>& blobs,
                    const rlx_kernel_table& table, ProgramDesc& out, std::string& error);

// Bytes of `elements` of a dtype (whole blocks for block formats).
size_t dtype_bytes(int32_t dtype, size_t elements);

}  // namespace rlx
