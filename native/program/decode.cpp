#include "program.h"
#include "reader.h"

namespace rlx {
namespace {

struct Format {
  size_t block, bytes;
};
// In the order of rlx_dtype.
constexpr Format formats[] = {{1, 4}, {1, 2}, {1, 2}, {1, 8}, {1, 1}, {1, 1}, {1, 2}, {1, 4}, {1, 4}, {1, 8}, {1, 1},
                              {32, 34}, {32, 18}, {256, 144}, {256, 176}, {256, 210}};
constexpr double DTYPES = sizeof(formats) / sizeof(formats[0]);

Dim read_dim(Reader& r, size_t symbols) {
  Dim dim;
  dim.terms.resize(r.length("extent"));
  for (auto& t : dim.terms) {
    t.coef = r.number("coefficient");
    t.symbols.resize(r.length("term"));
    for (auto& s : t.symbols) s = static_cast<uint32_t>(r.index("symbol", static_cast<double>(symbols)));
  }
  return dim;
}

std::vector<Dim> read_dims(Reader& r, size_t symbols, const char* what, size_t most) {
  std::vector<Dim> dims(r.length(what));
  if (dims.size() > most) r.fail(what, "has too many axes");
  for (auto& d : dims) d = read_dim(r, symbols);
  return dims;
}

OperandDesc read_operand(Reader& r, const ProgramDesc& p) {
  OperandDesc o{};
  o.present = r.index("operand", 2) == 1;
  if (!o.present) return o;
  o.buffer = static_cast<uint32_t>(r.index("operand buffer", static_cast<double>(p.buffers.size())));
  o.dtype = static_cast<int32_t>(r.index("operand dtype", DTYPES));
  o.packed = r.index("operand layout", 2) == 1;
  o.offset = read_dim(r, p.symbols.size());
  o.shape = read_dims(r, p.symbols.size(), "operand shape", RLX_MAX_RANK);
  return o;
}

rlx_kernel find_kernel(const rlx_kernel_table& table, const std::string& name) {
  for (size_t i = 0; i < table.n_kernels; i++)
    if (name == table.kernels[i].name) return table.kernels[i].run;
  return nullptr;
}

}  // namespace

size_t dtype_bytes(int32_t dtype, size_t elements) { return elements / formats[dtype].block * formats[dtype].bytes; }

bool decode_program(const double* words, size_t count, const std::vector<std::string>& kernels, const std::vector<BlobView>& blobs,
                    const rlx_kernel_table& table, ProgramDesc& p, std::string& error) {
  Reader r(words, count);
  p.symbols.resize(r.length("symbols"));
  for (auto& s : p.symbols) {
    s.min = r.number("symbol bound");
    s.max = r.number("symbol bound");
  }
  p.arena_bytes = r.index("arena size", MAX_BYTES);
  p.buffers.resize(r.length("buffers"));
  for (auto& b : p.buffers) {
    b.kind = static_cast<BufferKind>(r.index("buffer kind", 6));
    b.dtype = static_cast<int32_t>(r.index("buffer dtype", DTYPES));
    b.bytes = r.index("buffer size", MAX_BYTES);
    b.offset = r.index("buffer offset", MAX_BYTES);
    b.shape = read_dims(r, p.symbols.size(), "buffer shape", SIZE_MAX);
    if (b.kind == BufferKind::arena && b.offset + b.bytes > p.arena_bytes) r.fail("arena buffer", "is out of the arena");
  }
  p.steps.resize(r.length("steps"));
  for (auto& s : p.steps) {
    const size_t kernel = r.index("kernel", static_cast<double>(kernels.size()));
    s.run = nullptr;
    if (!r.bad && kernels[kernel] != "reference") {
      s.run = find_kernel(table, kernels[kernel]);
      if (!s.run) r.fail(("kernel \"" + kernels[kernel] + "\"").c_str(), "is not in the kernel table");
    }
    s.inputs.resize(r.length("inputs"));
    for (auto& o : s.inputs) o = read_operand(r, p);
    s.outputs.resize(r.length("outputs"));
    for (auto& o : s.outputs) {
      o = read_operand(r, p);
      if (!r.bad && !o.present) r.fail("output", "is absent");
    }
    s.params = read_dims(r, p.symbols.size(), "params", SIZE_MAX);
    const size_t blob = r.index("blob", static_cast<double>(blobs.size()) + 1);
    if (!r.bad && blob > 0) s.blob.assign(blobs[blob - 1].data, blobs[blob - 1].data + blobs[blob - 1].bytes);
    s.scratch_offset = r.index("scratch offset", MAX_BYTES);
    s.scratch_bytes = r.index("scratch size", MAX_BYTES);
    if (s.scratch_offset + s.scratch_bytes > p.arena_bytes) r.fail("scratch", "is out of the arena");
  }
  if (!r.bad && !r.done()) r.fail("word stream", "is longer than the program");
  error = r.error;
  return !r.bad;
}

}  // namespace rlx
