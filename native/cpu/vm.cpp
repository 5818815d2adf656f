#include "vm.h"

#include <string.h>

#include "convert.h"
#include "families.h"
#include "parallel.h"
#include "vm_ops.h"

namespace rlx {
namespace RLX_BASE {
namespace {

constexpr size_t TILE = 512, TILE_BYTES = 65536;
constexpr size_t CHUNK = 16384;

struct Step {
  uint32_t op, target, a, b, c, reserved;
  double imm;
};
static_assert(sizeof(Step) == VM_STEP_WORDS * 4, "layout of an instruction");

inline Step read_step(const uint8_t* steps, size_t i) {
  Step s;
  memcpy(&s, steps + i * sizeof(Step), sizeof(Step));
  return s;
}

template <class T>
vm_fn<T> function(uint32_t op) {
  if constexpr (sizeof(T) == 4) return vm_f32(op);
  else if constexpr (class_dtype<T>() == RLX_F64) return vm_f64(op);
  else return vm_i64(op);
}

bool has_function(int32_t cls, uint32_t op) {
  return cls == 0 ? vm_f32(op) != nullptr : cls == 1 ? vm_f64(op) != nullptr : vm_i64(op) != nullptr;
}

// Strides of an operand in the output's space, neighbouring axes joined where one stride serves both.
bool collapse(const rlx_tensor& t, const rlx_tensor& out, vm_operand& v) {
  if (!t.data || t.rank > out.rank || element_bytes(t.dtype) == 0) return false;
  const int32_t shift = out.rank - t.rank;
  int64_t strides[RLX_MAX_RANK];
  int64_t stride = 1;
  for (int32_t i = out.rank - 1; i >= 0; i--) {
    const int64_t d = i < shift ? 1 : t.dims[i - shift];
    if (d != out.dims[i] && d != 1) return false;
    strides[i] = d == 1 ? 0 : stride;
    stride *= d;
  }
  v.data = t.data;
  v.dtype = t.dtype;
  v.rank = 0;
  for (int32_t i = 0; i < out.rank; i++) {
    if (out.dims[i] == 1) continue;
    int64_t* last = v.strides + v.rank - 1;
    if (v.rank > 0 && *last == strides[i] * out.dims[i]) {
      *last = strides[i];
      v.dims[v.rank - 1] *= out.dims[i];
    } else {
      v.dims[v.rank] = out.dims[i];
      v.strides[v.rank++] = strides[i];
    }
  }
  if (v.rank == 0) {
    v.rank = 1;
    v.dims[0] = 1;
    v.strides[0] = 1;
  }
  return true;
}

// Elements [begin, begin + n) of the output's space, run by run of the innermost axis.
template <class T>
void load_operand(T* target, const vm_operand& v, size_t begin, size_t n) {
  int64_t index[RLX_MAX_RANK];
  int64_t rest = static_cast<int64_t>(begin), at = 0;
  for (int32_t d = v.rank - 1; d >= 0; d--) {
    index[d] = rest % v.dims[d];
    rest /= v.dims[d];
    at += index[d] * v.strides[d];
  }
  const int32_t inner = v.rank - 1;
  for (size_t done = 0; done < n;) {
    const size_t left = static_cast<size_t>(v.dims[inner] - index[inner]);
    const size_t run = left < n - done ? left : n - done;
    if (v.strides[inner] == 0) {
      load_run(target + done, v.data, v.dtype, at, 1, 1);
      const T value = target[done];
      for (size_t i = 1; i < run; i++) target[done + i] = value;
    } else load_run(target + done, v.data, v.dtype, at, v.strides[inner], run);
    done += run;
    at -= index[inner] * v.strides[inner];
    index[inner] = 0;
    for (int32_t d = inner - 1; d >= 0; d--) {
      at += v.strides[d];
      if (++index[d] < v.dims[d]) break;
      at -= v.dims[d] * v.strides[d];
      index[d] = 0;
    }
  }
}

template <class T>
void run_body(const vm_operand* operands, const rlx_tensor& out, const uint8_t* steps, size_t n_steps, size_t n_registers, size_t result,
              size_t begin, size_t count, const float* first) {
  alignas(64) T space[TILE_BYTES / sizeof(T)];
  const T* registers[VM_MAX_REGISTERS];
  size_t tile = TILE_BYTES / sizeof(T) / n_registers / 16 * 16;
  if (tile > TILE) tile = TILE;
  for (size_t done = 0; done < count; done += tile) {
    const size_t n = count - done < tile ? count - done : tile;
    const size_t at = begin + done;
    for (size_t i = 0; i < n_steps; i++) {
      const Step s = read_step(steps, i);
      T* target = space + s.target * tile;
      if (s.op == OP_LOAD) {
        const vm_operand& v = operands[s.a];
        if (s.a == 0 && first) load_run(target, reinterpret_cast<const uint8_t*>(first), RLX_F32, static_cast<int64_t>(done), 1, n);
        else if (v.dtype == class_dtype<T>() && v.rank == 1 && v.strides[0] == 1) {
          registers[s.target] = reinterpret_cast<const T*>(v.data) + at;
          continue;
        } else load_operand(target, v, at, n);
      } else {
        // The last instruction may write its result where it goes.
        if (i + 1 == n_steps && s.target == result && out.dtype == class_dtype<T>()) target = reinterpret_cast<T*>(out.data) + at;
        function<T>(s.op)(target, registers[s.a], registers[s.b], registers[s.c], static_cast<T>(s.imm), n);
      }
      registers[s.target] = target;
    }
    const T* values = registers[result];
    if (reinterpret_cast<const uint8_t*>(values) != out.data + at * sizeof(T) || out.dtype != class_dtype<T>())
      store_run(out.data, out.dtype, at, values, n);
  }
}

}  // namespace

const char* Vm::bind(const uint8_t* blob, size_t blob_bytes, const rlx_tensor* operands, size_t count, const rlx_tensor& out) {
  uint32_t header[VM_HEADER_WORDS];
  if (blob_bytes < sizeof(header)) return "bytecode: too short";
  memcpy(header, blob, sizeof(header));
  class_ = static_cast<int32_t>(header[1]);
  n_operands_ = header[2];
  n_registers_ = header[3];
  n_steps_ = header[4];
  result_ = header[5];
  steps_ = blob + sizeof(header);
  out_ = out;
  if (header[0] != VM_MAGIC || header[1] > 2) return "bytecode: bad header";
  if (n_operands_ != count || count > VM_MAX_OPERANDS) return "bytecode: number of operands";
  if (n_registers_ == 0 || n_registers_ > VM_MAX_REGISTERS || result_ >= n_registers_) return "bytecode: number of registers";
  if (blob_bytes != sizeof(header) + n_steps_ * sizeof(Step)) return "bytecode: length";
  if (!out.data || element_bytes(out.dtype) == 0) return "output: expected elements, not blocks";
  uint64_t written = 0;
  for (size_t i = 0; i < n_steps_; i++) {
    const Step s = read_step(steps_, i);
    if (s.target >= n_registers_) return "bytecode: register out of range";
    if (s.op == OP_LOAD) {
      if (s.a >= n_operands_) return "bytecode: operand out of range";
    } else {
      if (!has_function(class_, s.op)) return "bytecode: unknown instruction";
      // Unused slots name register 0; used ones must have been written, which for the first instructions means loads.
      if (s.a >= n_registers_ || s.b >= n_registers_ || s.c >= n_registers_) return "bytecode: register out of range";
      const uint64_t needed = s.op == OP_CONST ? 0 : uint64_t{1} << s.a | (s.op >= OP_ADD ? uint64_t{1} << s.b : 0) | (s.op == OP_SELECT ? uint64_t{1} << s.c : 0);
      if ((written & needed) != needed) return "bytecode: a register is read before it is written";
    }
    written |= uint64_t{1} << s.target;
  }
  if (!(written >> result_ & 1)) return "bytecode: no result";
  for (size_t i = 0; i < count; i++)
    if (!collapse(operands[i], out, operands_[i])) return "an operand does not broadcast to the output";
  return nullptr;
}

void Vm::apply(size_t begin, size_t count, const float* first) const {
  if (class_ == 0) run_body<float>(operands_, out_, steps_, n_steps_, n_registers_, result_, begin, count, first);
  else if (class_ == 1) run_body<double>(operands_, out_, steps_, n_steps_, n_registers_, result_, begin, count, first);
  else run_body<int64_t>(operands_, out_, steps_, n_steps_, n_registers_, result_, begin, count, first);
}

namespace {

// in: the operands of the body; out: one; blob: the body.
const char* elementwise(const rlx_args* args) {
  if (args->n_out != 1) return "expected one output";
  Vm vm;
  if (const char* error = vm.bind(args->blob, args->blob_bytes, args->in, args->n_in, args->out[0])) return error;
  size_t total = 1;
  for (int32_t i = 0; i < args->out[0].rank; i++) total *= static_cast<size_t>(args->out[0].dims[i]);
  parallel_chunks(args->pool, total, CHUNK, [&](size_t begin, size_t end) { vm.apply(begin, end - begin, nullptr); });
  return nullptr;
}

constexpr rlx_kernel_entry entries[] = {{"elementwise", elementwise}};

}  // namespace

rlx_kernel_list vm_kernels() { return {entries, sizeof(entries) / sizeof(entries[0])}; }

}  // namespace RLX_BASE
}  // namespace rlx
