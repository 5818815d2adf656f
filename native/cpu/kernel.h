// The interface between the program executor and the CPU kernels: plain C types, no Node, no exceptions.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// In the order of the `dtypes` table of packages/ir/src/dtype.ts.
typedef enum rlx_dtype {
  RLX_F32, RLX_F16, RLX_BF16, RLX_F64, RLX_I8, RLX_U8, RLX_I16, RLX_I32, RLX_U32, RLX_I64, RLX_BOOL,
  RLX_Q8_0, RLX_Q4_0, RLX_Q4_K, RLX_Q5_K, RLX_Q6_K,
} rlx_dtype;

enum { RLX_MAX_RANK = 8 };

// A dense row-major tensor at its actual extents. data is NULL for an absent optional operand.
typedef struct rlx_tensor {
  uint8_t* data;
  size_t bytes; // bytes that may be touched from data on
  int32_t dtype;
  int32_t rank;
  int64_t dims[RLX_MAX_RANK];
} rlx_tensor;

// Runs task(context, i) for i in [0, count), on the pool's threads and the caller's. Tasks must not depend on which thread runs
// them: results are the same for every number of threads. Returns early (some tasks not run) when the run is cancelled.
typedef struct rlx_pool rlx_pool;
typedef void (*rlx_task)(void* context, size_t index);
void rlx_parallel(rlx_pool* pool, size_t count, rlx_task task, void* context);
size_t rlx_threads(const rlx_pool* pool);

typedef struct rlx_args {
  const rlx_tensor* in;
  size_t n_in;
  const rlx_tensor* out;
  size_t n_out;
  const double* params; // scalars of the step, extents evaluated
  size_t n_params;
  const uint8_t* blob; // bytecode of a generated kernel or an epilogue
  size_t blob_bytes;
  uint8_t* scratch; // 64-byte aligned
  size_t scratch_bytes;
  rlx_pool* pool;
} rlx_args;

// An error text with numbers in it, made as printf does, in memory of the calling thread: it holds until the next call on that thread.
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
const char* rlx_message(const char* format, ...);

// NULL on success, else what is wrong (positions out of range and the like): a static text or one of rlx_message, so whoever runs a
// kernel copies it before anything else runs on the thread. Without the op's name, which the caller knows.
typedef const char* (*rlx_kernel)(const rlx_args* args);

typedef struct rlx_kernel_entry {
  const char* name;
  rlx_kernel run;
} rlx_kernel_entry;

// A packer turns a row-major weight [n, k] (leading axes: more rows) into a kernel's layout.
typedef struct rlx_packer_entry {
  const char* layout;
  size_t (*bytes)(int32_t dtype, int64_t n, int64_t k);
  void (*pack)(int32_t dtype, const uint8_t* source, int64_t n, int64_t k, uint8_t* target, rlx_pool* pool);
} rlx_packer_entry;

// One table per instruction set; the loader takes the best one that the machine has.
typedef struct rlx_kernel_table {
  const char* isa;
  const rlx_kernel_entry* kernels;
  size_t n_kernels;
  const rlx_packer_entry* packers;
  size_t n_packers;
} rlx_kernel_table;

#ifdef __cplusplus
}
#endif
