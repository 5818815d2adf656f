// Barriers, fences and <metal_atomic>.
#pragma once

namespace metal {
enum class mem_flags : uint { mem_none = 0, mem_device = MSL_MEM_DEVICE, mem_threadgroup = MSL_MEM_THREADGROUP, mem_texture = 4 };
constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(uint(a) | uint(b)); }
enum memory_order { memory_order_relaxed, memory_order_acquire = 2, memory_order_release = 3, memory_order_acq_rel = 4, memory_order_seq_cst = 5 };
enum thread_scope { thread_scope_thread, thread_scope_simdgroup, thread_scope_threadgroup, thread_scope_device };

MSL_INLINE void threadgroup_barrier(mem_flags flags, MSL_SITE) { msl_barrier(MSL_THREADGROUP_SCOPE, uint(flags), MSL_HERE); }
MSL_INLINE void simdgroup_barrier(mem_flags flags, MSL_SITE) { msl_barrier(MSL_SIMDGROUP_SCOPE, uint(flags), MSL_HERE); }
MSL_INLINE void atomic_thread_fence(mem_flags, memory_order, thread_scope = thread_scope_device) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

template <class T>
struct atomic {
  T value;
  atomic() = default;
};
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<bool> atomic_bool;
typedef atomic<float> atomic_float;
typedef atomic<ulong> atomic_ulong;

template <class T>
MSL_INLINE T atomic_load_explicit(const volatile atomic<T> *p, memory_order) {
  T r;
  msl_note_atomic(p, sizeof(T), MSL_ATOMIC_LOAD);
  __atomic_load((T *)&p->value, &r, __ATOMIC_RELAXED);
  return r;
}
template <class T, class U>
MSL_INLINE void atomic_store_explicit(volatile atomic<T> *p, U v, memory_order) {
  T x = T(v);
  msl_note_atomic(p, sizeof(T), MSL_ATOMIC_STORE);
  __atomic_store((T *)&p->value, &x, __ATOMIC_RELAXED);
}
template <class T, class U>
MSL_INLINE T atomic_exchange_explicit(volatile atomic<T> *p, U v, memory_order) {
  T x = T(v), r;
  msl_note_atomic(p, sizeof(T), MSL_ATOMIC_MODIFY);
  __atomic_exchange((T *)&p->value, &x, &r, __ATOMIC_RELAXED);
  return r;
}
template <class T, class E, class U>
MSL_INLINE bool atomic_compare_exchange_weak_explicit(volatile atomic<T> *p, E *expected, U v, memory_order, memory_order) {
  T x = T(v);
  msl_note_atomic(p, sizeof(T), MSL_ATOMIC_MODIFY);
  return __atomic_compare_exchange((T *)&p->value, (T *)expected, &x, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// One loop for all operations, because the CPU has no atomic float addition.
#define MSL_ATOMIC_FETCH(NAME, EXPRESSION)                                                                        \
  template <class T, class U>                                                                                     \
  MSL_INLINE T atomic_fetch_##NAME##_explicit(volatile atomic<T> *p, U operand, memory_order) {                   \
    T b = T(operand), a;                                                                                          \
    msl_note_atomic(p, sizeof(T), MSL_ATOMIC_MODIFY);                                                             \
    __atomic_load((T *)&p->value, &a, __ATOMIC_RELAXED);                                                          \
    for (;;) {                                                                                                    \
      T next = T(EXPRESSION);                                                                                     \
      if (__atomic_compare_exchange((T *)&p->value, &a, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return a; \
    }                                                                                                             \
  }
MSL_ATOMIC_FETCH(add, a + b)
MSL_ATOMIC_FETCH(sub, a - b)
MSL_ATOMIC_FETCH(max, a > b ? a : b)
MSL_ATOMIC_FETCH(min, a < b ? a : b)
MSL_ATOMIC_FETCH(and, a &b)
MSL_ATOMIC_FETCH(or, a | b)
MSL_ATOMIC_FETCH(xor, a ^ b)
#undef MSL_ATOMIC_FETCH
}  // namespace metal
