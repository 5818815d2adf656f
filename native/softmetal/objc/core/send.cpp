// objc_msgSend: finds the method that a message reaches and jumps to it with the arguments as they came.
#include <cstring>

#include "methods.h"

namespace softmetal::objc {
namespace {

const std::unordered_map<const char *, Method> &methodsOf(const Class &c) {
  std::call_once(c.once, [&] {
    // A class and its metaclass are defined together; only the class knows how.
    Methods instance_methods, class_methods;
    if (c.define != nullptr) c.define(instance_methods, class_methods);
    c.methods = new std::unordered_map(std::move(instance_methods.table));
    if (c.isa == nullptr) return;
    std::call_once(c.isa->once, [&] { c.isa->methods = new std::unordered_map(std::move(class_methods.table)); });
  });
  return *c.methods;
}

// The methods of what is itself a class.
const std::unordered_map<const char *, Method> &classMethodsOf(const Class &c) {
  methodsOf(c);
  return *c.isa->methods;
}

Method find(const void *receiver, const char *key) {
  const Class &isa = classOf(receiver);
  const bool is_class = isa.isa == nullptr && isa.storage == Storage::Immortal;
  for (const Class *c = is_class ? static_cast<const Class *>(receiver) : &isa; c != nullptr; c = c->superclass) {
    const auto &methods = is_class ? classMethodsOf(*c) : methodsOf(*c);
    const auto found = methods.find(key);
    if (found != methods.end()) return found->second;
  }
  return nullptr;
}

// A method of this name, whatever its signature; nullptr: none.
const char *otherSignature(const Class &start, const char *name) {
  for (const Class *c = &start; c != nullptr; c = c->superclass)
    for (const auto &[key, method] : methodsOf(*c))
      if (strcmp(key, name) == 0 && !signatureOfKey(key).empty()) return key;
  return nullptr;
}

}  // namespace

bool Methods::givesOwnership(const std::string &name) {
  for (const char *family : {"new", "alloc", "copy", "mutableCopy", "init"}) {
    const size_t length = strlen(family);
    // "newest" is not of the family "new".
    if (name.compare(0, length, family) == 0 && !(name[length] >= 'a' && name[length] <= 'z')) return true;
  }
  return false;
}

bool respondsTo(const void *receiver, const Selector *selector) {
  return receiver != nullptr && find(receiver, selectorKey(selector->name, "")) != nullptr;
}

}  // namespace softmetal::objc

using namespace softmetal::objc;

extern "C" __attribute__((visibility("hidden"), used)) Method softmetal_find_method(const void *receiver, const Selector *selector) {
  if (const Method method = find(receiver, selector->name)) return method;
  const Class &isa = classOf(receiver);
  if (const char *other = otherSignature(isa, selector->name))
    die("%s %s: called with the signature \"%s\", defined with \"%s\"", isa.name, selector->name, signatureOfKey(selector->name).c_str(),
        signatureOfKey(other).c_str());
  if (isa.isa == nullptr && isa.storage == Storage::Counted) die("message %s to a deallocated %s", selector->name, isa.name);
  die("%s does not respond to %s", isa.name, selector->name);
}

std::string softmetal::objc::description(void *object) {
  const Selector selector{selectorKey("description", "p"), nullptr};
  const auto method = reinterpret_cast<void *(*)(void *, const Selector *)>(softmetal_find_method(object, &selector));
  return text(method(object, &selector));
}

// Everything that may hold an argument is saved around the search. A message to nil does nothing and gives 0 in every register of results; where the result is
// a struct in memory, the compiler asks for nil itself.
#if defined(__x86_64__)
// SEND name, register of the receiver, register of the selector
asm(R"(
.macro SEND name, receiver, selector
  .text
  .globl \name
  .type \name, @function
\name:
  .cfi_startproc
  testq %\receiver, %\receiver
  je 1f
  pushq %rbp
  .cfi_def_cfa_offset 16
  .cfi_offset %rbp, -16
  movq %rsp, %rbp
  .cfi_def_cfa_register %rbp
  subq $192, %rsp
  movq %rdi, -8(%rbp)
  movq %rsi, -16(%rbp)
  movq %rdx, -24(%rbp)
  movq %rcx, -32(%rbp)
  movq %r8, -40(%rbp)
  movq %r9, -48(%rbp)
  movq %rax, -56(%rbp)
  movups %xmm0, -80(%rbp)
  movups %xmm1, -96(%rbp)
  movups %xmm2, -112(%rbp)
  movups %xmm3, -128(%rbp)
  movups %xmm4, -144(%rbp)
  movups %xmm5, -160(%rbp)
  movups %xmm6, -176(%rbp)
  movups %xmm7, -192(%rbp)
  movq %\receiver, %rax
  movq %\selector, %rsi
  movq %rax, %rdi
  call softmetal_find_method
  movq %rax, %r11
  movq -8(%rbp), %rdi
  movq -16(%rbp), %rsi
  movq -24(%rbp), %rdx
  movq -32(%rbp), %rcx
  movq -40(%rbp), %r8
  movq -48(%rbp), %r9
  movq -56(%rbp), %rax
  movups -80(%rbp), %xmm0
  movups -96(%rbp), %xmm1
  movups -112(%rbp), %xmm2
  movups -128(%rbp), %xmm3
  movups -144(%rbp), %xmm4
  movups -160(%rbp), %xmm5
  movups -176(%rbp), %xmm6
  movups -192(%rbp), %xmm7
  leave
  .cfi_def_cfa %rsp, 8
  jmp *%r11
1:
  xorl %eax, %eax
  xorl %edx, %edx
  xorps %xmm0, %xmm0
  xorps %xmm1, %xmm1
  ret
  .cfi_endproc
  .size \name, . - \name
.endm
SEND objc_msgSend, rdi, rsi
SEND objc_msgSend_stret, rsi, rdx
.purgem SEND
)");
#elif defined(__aarch64__)
// x8, where a struct result goes, is saved like an argument: one function serves both kinds of results.
asm(R"(
  .text
  .globl objc_msgSend
  .globl objc_msgSend_stret
  .type objc_msgSend, %function
  .type objc_msgSend_stret, %function
objc_msgSend:
objc_msgSend_stret:
  .cfi_startproc
  cbz x0, 1f
  stp x29, x30, [sp, #-224]!
  .cfi_def_cfa_offset 224
  .cfi_offset x29, -224
  .cfi_offset x30, -216
  mov x29, sp
  stp x0, x1, [sp, #16]
  stp x2, x3, [sp, #32]
  stp x4, x5, [sp, #48]
  stp x6, x7, [sp, #64]
  str x8, [sp, #80]
  stp q0, q1, [sp, #96]
  stp q2, q3, [sp, #128]
  stp q4, q5, [sp, #160]
  stp q6, q7, [sp, #192]
  bl softmetal_find_method
  mov x16, x0
  ldp x0, x1, [sp, #16]
  ldp x2, x3, [sp, #32]
  ldp x4, x5, [sp, #48]
  ldp x6, x7, [sp, #64]
  ldr x8, [sp, #80]
  ldp q0, q1, [sp, #96]
  ldp q2, q3, [sp, #128]
  ldp q4, q5, [sp, #160]
  ldp q6, q7, [sp, #192]
  ldp x29, x30, [sp], #224
  .cfi_def_cfa_offset 0
  .cfi_restore x29
  .cfi_restore x30
  br x16
1:
  mov x1, #0
  movi d0, #0
  movi d1, #0
  movi d2, #0
  movi d3, #0
  ret
  .cfi_endproc
  .size objc_msgSend, . - objc_msgSend
)");
#else
#error "software Metal: messages are implemented for x86-64 and arm64"
#endif
