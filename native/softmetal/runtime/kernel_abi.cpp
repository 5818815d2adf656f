// The functions that compiled kernels call: the shim's services, the hooks of the instrumentation, and conversions of the compiler's own.
#include "../shim/abi.h"

#include <cstring>

#include "threadgroup.h"

using softmetal::Threadgroup;

#define RUNTIME __attribute__((visibility("default"), used))

namespace {

void note(const volatile void *address, size_t bytes, bool write, bool atomic, const void *code) {
  Threadgroup *group = Threadgroup::current();
  if (group != nullptr) group->access(const_cast<const void *>(address), bytes, write, atomic, code);
}

}  // namespace

extern "C" {

RUNTIME void msl_barrier(msl_barrier_scope scope, unsigned flags, msl_site at) { Threadgroup::current()->barrier(scope, flags, at); }

RUNTIME void *msl_threadgroup_storage(int id, const char *function, unsigned long bytes, unsigned long alignment) {
  return Threadgroup::current()->variable(id, function, bytes, alignment);
}

RUNTIME const msl_lanes *msl_exchange(const void *value, unsigned bytes, msl_operation operation, msl_site at) {
  return Threadgroup::current()->exchange(value, bytes, operation, at);
}

RUNTIME unsigned msl_lane() { return Threadgroup::current()->lane(); }

RUNTIME void msl_misuse(const char *what, msl_site at) { Threadgroup::current()->misuse(what, at); }

// Fast builds call it too; theirs costs a test.
RUNTIME void msl_note_atomic(const volatile void *address, unsigned bytes, msl_atomic_access access) {
  Threadgroup *group = Threadgroup::current();
  if (!group->checked()) return;
  if (access != MSL_ATOMIC_STORE) note(address, bytes, false, true, __builtin_return_address(0));
  if (access != MSL_ATOMIC_LOAD) note(address, bytes, true, true, __builtin_return_address(0));
}

// Clang's ThreadSanitizer pass puts a call of these in front of each access; ThreadSanitizer itself is not linked.
#define ACCESS(NAME, BYTES, READ, WRITE)                                               \
  RUNTIME void __tsan_##NAME##BYTES(void *address) {                                   \
    if (READ) note(address, BYTES, false, false, __builtin_return_address(0));         \
    if (WRITE) note(address, BYTES, true, false, __builtin_return_address(0));         \
  }
#define ACCESSES(BYTES)                            \
  ACCESS(read, BYTES, true, false)                 \
  ACCESS(write, BYTES, false, true)                \
  ACCESS(read_write, BYTES, true, true)            \
  ACCESS(unaligned_read, BYTES, true, false)       \
  ACCESS(unaligned_write, BYTES, false, true)      \
  ACCESS(unaligned_read_write, BYTES, true, true)  \
  ACCESS(volatile_read, BYTES, true, false)        \
  ACCESS(volatile_write, BYTES, false, true)
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

RUNTIME void __tsan_init() {}

// Clang's alignment check calls this where a pointer is used whose value its type does not allow. As ubsan_handlers.h of compiler-rt declares it.
struct TypeMismatch {
  const char *file;
  uint32_t line, column;
  const void *type;
  uint8_t alignment_exponent, use;
};
RUNTIME void __ubsan_handle_type_mismatch_v1(const TypeMismatch *found, uintptr_t address) {
  Threadgroup *group = Threadgroup::current();
  if (group != nullptr) group->misaligned(address, uintptr_t{1} << found->alignment_exponent, {found->file, found->line});
}

RUNTIME void *__tsan_memcpy(void *to, const void *from, size_t bytes) {
  note(from, bytes, false, false, __builtin_return_address(0));
  note(to, bytes, true, false, __builtin_return_address(0));
  return memcpy(to, from, bytes);
}
RUNTIME void *__tsan_memmove(void *to, const void *from, size_t bytes) {
  note(from, bytes, false, false, __builtin_return_address(0));
  note(to, bytes, true, false, __builtin_return_address(0));
  return memmove(to, from, bytes);
}
RUNTIME void *__tsan_memset(void *to, int value, size_t bytes) {
  note(to, bytes, true, false, __builtin_return_address(0));
  return memset(to, value, bytes);
}

// float to bfloat, rounded to nearest even: clang calls this function of newer compilers' runtime libraries, which gcc 12 does not have.
RUNTIME __bf16 __truncsfbf2(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const auto upper = static_cast<uint16_t>(nan ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
  __bf16 rounded;
  memcpy(&rounded, &upper, sizeof rounded);
  return rounded;
}
}
