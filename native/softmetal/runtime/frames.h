#pragma once
#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define SOFTMETAL_ASAN 1
#endif
#endif

namespace softmetal {

// A stack that was left for good: AddressSanitizer still knows the frames on it, which did not end one by one.
inline void forgetFrames([[maybe_unused]] const void *stack, [[maybe_unused]] size_t bytes) {
#ifdef SOFTMETAL_ASAN
  __asan_unpoison_memory_region(stack, bytes);
#endif
}

}  // namespace softmetal
