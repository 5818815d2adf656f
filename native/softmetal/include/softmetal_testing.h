/* What tests of a Metal host ask of Software Metal's devices. No part of Metal: code that a Mac compiles includes it only where SOFTMETAL is defined.
   May be called from any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "../runtime/softmetal.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  sm_options execution; /* order and seed of threads, workers, threads per threadgroup */
  int check;            /* not 0: kernels are compiled with the checks for races, bounds and uninitialised memory */
  uint64_t memory;      /* bytes that buffers may take together, further ones are nil; 0: no limit */
} softmetal_options;

/* For the devices that MTLCreateSystemDefaultDevice makes from now on. Without it: forward order, one worker, no checks, no limit. */
void softmetal_configure(const softmetal_options *options);

/* The devices that there are now are lost: command buffers that have not completed fail with MTLCommandBufferErrorDeviceRemoved, nothing can be created. */
void softmetal_lose_devices(void);

typedef struct {
  int64_t objects;         /* alive: all Objective-C objects, strings and errors too */
  int64_t buffers;         /* alive */
  int64_t command_buffers; /* alive */
  uint64_t bytes;          /* of the buffers that are alive, without those that wrap memory of the host */
  uint64_t committed;      /* command buffers so far */
  uint64_t dispatches;     /* executed so far */
  uint64_t barriers;       /* memory barriers that the host encoded, executed so far */
  uint64_t libraries;      /* made so far */
} softmetal_counters;

softmetal_counters softmetal_count(void);

/* Everything that kernels and the host did wrong since the last clear, in order. The host's faults are of the kind "misuse". The texts live until the clear. */
size_t softmetal_fault_count(void);
sm_fault softmetal_fault_at(size_t index);
void softmetal_clear_faults(void);

#ifdef __cplusplus
}
#endif
