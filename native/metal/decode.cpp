#include <cstring>

#include "../program/reader.h"
#include "program.h"

namespace rlx::metal {
namespace {

double count_of(size_t n) { return static_cast<double>(n); }

class Decoder {
 public:
  Decoder(const double* words, size_t count, const std::vector<std::string>& functions, size_t libraries, Program& out)
      : r_(words, count), functions_(functions), libraries_(libraries), p_(out) {}

  bool decode(std::string& error) {
    symbols();
    expressions();
    buffers();
    pipelines();
    launches();
    if (!r_.bad && !r_.done()) r_.fail("word stream", "is longer than the program");
    error = r_.error;
    return !r_.bad;
  }

 private:
  void symbols() {
    p_.symbols.resize(r_.length("symbols"));
    for (Symbol& s : p_.symbols) {
      s.min = r_.number("symbol bound");
      s.max = r_.number("symbol bound");
    }
  }

  void expressions() {
    p_.expressions.resize(r_.length("expressions"));
    size_t at = 0;
    for (Expression& e : p_.expressions) {
      e.op = static_cast<Operator>(r_.index("operator", 10));
      if (e.op == Operator::constant) e.value = r_.number("constant");
      else if (e.op == Operator::symbol) e.a = narrow("symbol", p_.symbols.size());
      else {
        e.a = narrow("expression operand", at);
        e.b = narrow("expression operand", at);
      }
      at++;
    }
  }

  void buffers() {
    p_.arena_bytes = r_.index("arena size", MAX_BYTES);
    p_.buffers.resize(r_.length("buffers"));
    for (Buffer& b : p_.buffers) {
      b.kind = static_cast<BufferKind>(r_.index("buffer kind", 6));
      b.bytes = r_.index("buffer size", MAX_BYTES);
      b.offset = r_.index("buffer offset", MAX_BYTES);
      b.actual = expr("buffer size");
      if (b.kind == BufferKind::arena && b.offset + b.bytes > p_.arena_bytes) r_.fail("arena buffer", "is out of the arena");
    }
  }

  void pipelines() {
    p_.pipelines.resize(r_.length("pipelines"));
    for (Pipeline& p : p_.pipelines) {
      p.library = r_.index("library", count_of(libraries_));
      const size_t function = r_.index("function", count_of(functions_.size()));
      if (!r_.bad) p.function = functions_[function];
      p.constants.resize(r_.length("function constants"));
      for (GpuConstant& c : p.constants) constant(c);
    }
  }

  void constant(GpuConstant& c) {
    c.index = narrow("function constant", 65536);
    c.type = static_cast<GpuConstant::Type>(r_.index("type of a function constant", 4));
    const double value = r_.number("value of a function constant");
    if (c.type == GpuConstant::Type::real) {
      const float real = static_cast<float>(value);
      std::memcpy(&c.bits, &real, sizeof(real));
      return;
    }
    const bool fits = value == std::floor(value) && value >= (c.type == GpuConstant::Type::sint ? -2147483648.0 : 0.0) &&
                      value <= (c.type == GpuConstant::Type::sint ? 2147483647.0 : c.type == GpuConstant::Type::uint ? 4294967295.0 : 1.0);
    if (!fits) r_.fail("value of a function constant", "does not fit its type");
    else c.bits = static_cast<uint32_t>(static_cast<int64_t>(value));
  }

  void launches() {
    p_.steps = r_.index("steps", 4294967295.0);
    p_.slots = r_.index("slots", 4294967295.0);
    p_.launches.resize(r_.length("launches"));
    // Slots are memory.
    if (p_.slots > p_.launches.size()) r_.fail("slots", "are more than launches");
    for (Launch& l : p_.launches) launch(l);
  }

  void launch(Launch& l) {
    l.step = narrow("step", p_.steps);
    l.pipeline = narrow("pipeline", p_.pipelines.size());
    const uint32_t slot = narrow("slot", p_.slots + 1);
    l.slot = slot == 0 ? NO_SLOT : slot - 1;
    l.arguments.resize(r_.length("arguments"));
    size_t bytes = 0;
    for (Argument& a : l.arguments) {
      argument(a, l.slot);
      bytes = a.wide() ? (bytes + 7) / 8 * 8 + 8 : bytes + 4;
    }
    if (bytes > MAX_ARGUMENT_BYTES) r_.fail("arguments", "take more than 4096 bytes");
    l.bindings.resize(r_.length("buffers of a launch"));
    if (l.bindings.size() > MAX_BUFFERS) r_.fail("buffers of a launch", "are more than 30");
    for (Binding& b : l.bindings) binding(b);
    l.threadgroup_bytes.resize(r_.length("threadgroup memory"));
    if (l.threadgroup_bytes.size() > MAX_THREADGROUP_BUFFERS) r_.fail("threadgroup memory", "has more than 31 parts");
    for (Expr& e : l.threadgroup_bytes) e = expr("threadgroup memory");
    l.in_threads = r_.index("grid", 2) == 1;
    for (Expr& e : l.grid) e = expr("grid");
    const double most = count_of(MAX_THREADS) + 1;
    l.threads = {r_.index("threads", most), r_.index("threads", most), r_.index("threads", most)};
    const size_t threads = l.threads.x * l.threads.y * l.threads.z;
    if (threads == 0 || threads > MAX_THREADS) r_.fail("threads per threadgroup", "are none, or more than 1024");
  }

  void argument(Argument& a, uint32_t slot) {
    a.type = static_cast<ArgumentType>(r_.index("type of an argument", 6));
    if (a.type == ArgumentType::real) a.real = static_cast<float>(r_.number("argument"));
    else if (a.type != ArgumentType::slot) a.value = expr("argument");
    else if (slot == NO_SLOT) r_.fail("slot argument", "is of a launch without a slot");
  }

  void binding(Binding& b) {
    b.kind = static_cast<BindingKind>(r_.index("kind of a buffer argument", 4));
    if (b.kind == BindingKind::none) return;
    b.access = static_cast<Access>(r_.index("access", 4));
    if (b.kind == BindingKind::status) return;
    if (b.kind == BindingKind::buffer) {
      b.buffer = narrow("buffer argument", p_.buffers.size());
      if (!r_.bad && b.access != Access::read && p_.buffers[b.buffer].kind >= BufferKind::constant && p_.buffers[b.buffer].kind <= BufferKind::weight)
        r_.fail("buffer argument", "writes to a constant or a weight");
    }
    b.base = expr("offset");
    b.limit = expr("size");
    b.offset = expr("offset");
    b.bytes = expr("size");
  }

  uint32_t narrow(const char* what, size_t limit) { return static_cast<uint32_t>(r_.index(what, count_of(limit))); }
  Expr expr(const char* what) { return narrow(what, p_.expressions.size()); }

  Reader r_;
  const std::vector<std::string>& functions_;
  const size_t libraries_;
  Program& p_;
};

}  // namespace

bool decode_program(const double* words, size_t count, const std::vector<std::string>& functions, size_t libraries, Program& out,
                    std::string& error) {
  return Decoder(words, count, functions, libraries, out).decode(error);
}

}  // namespace rlx::metal
