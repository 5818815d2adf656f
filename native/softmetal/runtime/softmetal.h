// Software Metal: runs kernels that the source tool has compiled, on the CPU, with Metal's dispatch semantics. The C API that host code uses.
//
// One thread at a time runs dispatches and reads faults, in the whole process: libraries have one set of function constants each. Meanwhile other threads may
// create and destroy buffers, libraries and pipelines that no dispatch uses. Nothing here aborts or throws: what a kernel does wrong is reported as faults,
// what a caller does wrong comes back as NULL or -1 with a text.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sm_device sm_device;
typedef struct sm_library sm_library;
typedef struct sm_pipeline sm_pipeline;
typedef struct sm_buffer sm_buffer;

enum { SM_MAX_BINDINGS = 31, SM_ERROR_BYTES = 512 };

// The order in which threads and threadgroups start and go on after a barrier.
typedef enum { SM_FORWARD, SM_REVERSE, SM_RANDOM } sm_order;

typedef struct {
  sm_order order;
  uint64_t seed;                         // of SM_RANDOM
  uint32_t workers;                      // threads of the CPU; checked libraries use one
  uint32_t max_threads_per_threadgroup;  // 1024 on current Apple GPUs; less under register pressure
} sm_options;

typedef struct {
  const char *kind;     // "race", "bounds", "uninitialised", "divergence", "barrier", "binding", "limit", "trap", "misuse"
  const char *kernel;   // its name in the library
  const char *file;     // of the kernel's source; "" if the fault has no place there
  uint32_t line;        // 0: unknown
  const char *message;
} sm_fault;

sm_device *sm_device_create(const sm_options *options);
// Destroy buffers, pipelines and libraries first.
void sm_device_destroy(sm_device *device);

// Faults since the last clear. Their texts live until then.
size_t sm_fault_count(const sm_device *device);
sm_fault sm_fault_at(const sm_device *device, size_t index);
void sm_clear_faults(sm_device *device);

// Zeroed memory that ends (up to the alignment of 32 bytes) where an inaccessible page begins. NULL: no memory.
sm_buffer *sm_buffer_create(sm_device *device, size_t bytes);
// The caller's memory, without guard pages; it has to outlive the buffer.
sm_buffer *sm_buffer_wrap(sm_device *device, void *data, size_t bytes);
void sm_buffer_destroy(sm_buffer *buffer);
void *sm_buffer_contents(const sm_buffer *buffer);
size_t sm_buffer_length(const sm_buffer *buffer);

// `error`: SM_ERROR_BYTES, written when NULL is returned.
sm_library *sm_library_load(const char *path, char *error);
void sm_library_destroy(sm_library *library);
size_t sm_library_kernel_count(const sm_library *library);
const char *sm_library_kernel_name(const sm_library *library, size_t index);

typedef struct {
  uint32_t index;
  const char *type;  // as in MSL: "uint", "bool", "float", "half", ...
  const void *value;
  size_t bytes;
} sm_constant;

// A pipeline keeps its library alive.
sm_pipeline *sm_pipeline_create(const sm_library *library, const char *kernel, const sm_constant *constants, size_t constant_count, char *error);
// Threads per threadgroup that the kernel allows, at most.
uint32_t sm_pipeline_max_threads(const sm_pipeline *pipeline);
void sm_pipeline_destroy(sm_pipeline *pipeline);

typedef struct {
  const sm_buffer *buffer;  // NULL: `bytes`, or nothing
  size_t offset;
  const void *bytes;        // copied; as Metal's setBytes
  size_t length;            // of `bytes`
} sm_binding;

typedef struct {
  uint32_t x, y, z;
} sm_size;

typedef struct {
  const sm_pipeline *pipeline;
  sm_binding bindings[SM_MAX_BINDINGS];
  uint32_t threadgroup_bytes[SM_MAX_BINDINGS];
  sm_size grid;           // in threads or in threadgroups
  int grid_is_threads;    // the last threadgroups may then be smaller
  sm_size threads_per_threadgroup;
} sm_dispatch;

// Runs to the end. 0, or -1 if there were faults.
int sm_run(sm_device *device, const sm_dispatch *dispatch);
// Dispatches before it are complete for those behind it. Without it two dispatches are concurrent, as in a concurrent encoder.
void sm_memory_barrier(sm_device *device);

#ifdef __cplusplus
}
#endif
