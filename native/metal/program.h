// A program as the replay holds it: what packages/backend-metal/src/encode.ts writes, decoded once.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "gpu_device.h"

namespace rlx::metal {

// Metal's limits for one launch.
constexpr size_t MAX_ARGUMENT_BYTES = 4096, MAX_BUFFERS = 30, MAX_THREADGROUP_BUFFERS = 31, MAX_THREADS = 1024;

enum class Operator : uint8_t { constant, symbol, add, sub, mul, div, ceil_div, rem, min, max };
// An integer over the extents. `a` and `b` are places of earlier ones in the list; of a symbol, `a` is its number.
struct Expression {
  Operator op;
  uint32_t a = 0, b = 0;
  double value = 0;
};
// The place of an expression in the list.
using Expr = uint32_t;

struct Symbol {
  double min, max;
};

enum class BufferKind : uint8_t { input, output, state, constant, weight, arena };
struct Buffer {
  BufferKind kind;
  size_t bytes;   // at the upper bound of every extent
  size_t offset;  // in the arena
  Expr actual;    // bytes at the extents of a run
};

struct Pipeline {
  size_t library;
  std::string function;
  std::vector<GpuConstant> constants;
};

enum class ArgumentType : uint8_t { uint, sint, ulong, slong, real, slot };
struct Argument {
  ArgumentType type;
  Expr value = 0;
  float real = 0;
  bool wide() const { return type == ArgumentType::ulong || type == ArgumentType::slong; }
};

enum class Access : uint8_t { read, write, read_write, atomic };
enum class BindingKind : uint8_t { none, buffer, scratch, status };
// Bytes [base + offset, base + offset + bytes) of a buffer or of the arena; they lie within the `limit` bytes from `base`.
struct Binding {
  BindingKind kind;
  Access access;
  uint32_t buffer = 0;
  Expr base = 0, limit = 0, offset = 0, bytes = 0;
};

struct Launch {
  uint32_t step, pipeline;
  uint32_t slot;  // where it reports what it refuses; NO_SLOT: it does not
  std::vector<Argument> arguments;
  std::vector<Binding> bindings;  // at buffer indices 1, 2, ...
  std::vector<Expr> threadgroup_bytes;
  bool in_threads;  // the grid; else in threadgroups
  Expr grid[3];
  GpuSize threads;  // per threadgroup
};
constexpr uint32_t NO_SLOT = 0xffffffffu;

struct Program {
  std::vector<Symbol> symbols;
  std::vector<Expression> expressions;
  size_t arena_bytes = 0;
  std::vector<Buffer> buffers;
  std::vector<Pipeline> pipelines;
  size_t steps = 0, slots = 0;
  std::vector<Launch> launches;
};

// Every count and index is checked; false: see `error`. `functions`: the names that pipelines refer to; `libraries`: how many there are.
bool decode_program(const double* words, size_t count, const std::vector<std::string>& functions, size_t libraries, Program& out,
                    std::string& error);

// The value of every expression. What is no number (a division by 0) is NaN, and refused where it is used.
void evaluate(const std::vector<Expression>& expressions, const std::vector<double>& extents, std::vector<double>& values);

}  // namespace rlx::metal
