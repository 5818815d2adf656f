// What a compiled kernel library and the runtime agree on. Included by the shim (C++ for OpenCL) and by the runtime (C++17); both see the same layouts.
#pragma once

#ifndef MSL_GENERIC
#define MSL_GENERIC
#define MSL_CONSTANT
#endif

// Changes whenever this file does.
enum { MSL_ABI = 2 };

enum { MSL_BINDINGS = 31, MSL_LANES = 32, MSL_DEPOSIT_BYTES = 64 };

struct msl_uint3 {
  unsigned x, y, z;
};

// Everything that a kernel argument can be made of. One per thread.
struct msl_context {
  msl_uint3 thread_position_in_grid;
  msl_uint3 thread_position_in_threadgroup;
  msl_uint3 threadgroup_position_in_grid;
  msl_uint3 threads_per_threadgroup;
  msl_uint3 threads_per_grid;
  msl_uint3 threadgroups_per_grid;
  unsigned thread_index_in_threadgroup;
  unsigned thread_index_in_simdgroup;
  unsigned simdgroup_index_in_threadgroup;
  unsigned threads_per_simdgroup;
  unsigned simdgroups_per_threadgroup;
  unsigned thread_index_in_quadgroup;
  unsigned quadgroup_index_in_threadgroup;
  unsigned quadgroups_per_threadgroup;
  MSL_GENERIC void *const MSL_GENERIC *buffers;       // [MSL_BINDINGS]
  MSL_GENERIC void *const MSL_GENERIC *threadgroups;  // [MSL_BINDINGS]
};

// What the lanes of a simdgroup gave to one operation.
struct msl_lanes {
  unsigned mask;
  alignas(16) char deposit[MSL_LANES][MSL_DEPOSIT_BYTES];
};

// A place in a .metal file; `column` only tells two calls of one line apart.
struct msl_site {
  MSL_CONSTANT const char *file;
  int line, column;
};

enum msl_argument_kind { MSL_BUFFER, MSL_THREADGROUP, MSL_BUILTIN };
enum msl_access_mode { MSL_NO_ACCESS, MSL_CONSTANT_SPACE, MSL_READ, MSL_READ_WRITE };

struct msl_argument {
  msl_argument_kind kind;
  int index;
  msl_access_mode mode;
  int guard;           // index of the function constant that switches the argument on; -1: always there
  unsigned min_bytes;  // size of T for an argument T&, else 0
  unsigned alignment;  // of T for an argument T& or T*
};

// Kernel number i runs by the function that the library exports as `msl_run_<i>`: C++ for OpenCL has no pointers to functions in structs.
struct msl_kernel {
  MSL_CONSTANT const char *name;
  const MSL_GENERIC msl_argument *arguments;
  int argument_count;
  int max_threads;  // [[max_total_threads_per_threadgroup(n)]], else 1024
  const MSL_GENERIC int *required;  // indices of the function constants that have to be set
  int required_count;
};

struct msl_function_constant {
  MSL_CONSTANT const char *name;
  MSL_CONSTANT const char *type;
  int index;
  unsigned bytes;
  MSL_GENERIC void *value;
  MSL_GENERIC bool *defined;
};

// The one table that a library exports, as `msl_library_table`. It also exports `void msl_derive()`, which evaluates the program-scope constants that depend
// on function constants.
struct msl_library {
  unsigned abi;  // MSL_ABI
  const MSL_GENERIC msl_kernel *kernels;
  int kernel_count;
  const MSL_GENERIC msl_function_constant *constants;
  int constant_count;
  bool checked;  // built with instrumentation
};

enum msl_operation {
  MSL_OP_BARRIER,
  MSL_OP_SUM,
  MSL_OP_PRODUCT,
  MSL_OP_MAX,
  MSL_OP_MIN,
  MSL_OP_AND,
  MSL_OP_OR,
  MSL_OP_XOR,
  MSL_OP_SHUFFLE,
  MSL_OP_BROADCAST,
  MSL_OP_VOTE,
  MSL_OP_PREFIX,
  MSL_OP_MULTIPLY_ACCUMULATE,
};

enum msl_atomic_access { MSL_ATOMIC_LOAD, MSL_ATOMIC_STORE, MSL_ATOMIC_MODIFY };
enum msl_barrier_scope { MSL_THREADGROUP_SCOPE, MSL_SIMDGROUP_SCOPE };
enum msl_barrier_flags { MSL_MEM_DEVICE = 1, MSL_MEM_THREADGROUP = 2 };

// Services of the runtime that kernels call.
extern "C" {
void msl_barrier(msl_barrier_scope scope, unsigned flags, msl_site at);
// `function` tells the instantiations of one template apart: each has its own storage.
MSL_GENERIC void *msl_threadgroup_storage(int id, MSL_CONSTANT const char *function, unsigned long bytes, unsigned long alignment);
const MSL_GENERIC msl_lanes *msl_exchange(const MSL_GENERIC void *value, unsigned bytes, msl_operation operation, msl_site at);
unsigned msl_lane();
void msl_misuse(MSL_CONSTANT const char *what, msl_site at);
void msl_note_atomic(const volatile MSL_GENERIC void *address, unsigned bytes, msl_atomic_access access);
}
