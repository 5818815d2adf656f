// MSL's words in clang's C++-for-OpenCL mode. Address spaces stay in the type system, so mixing them up is an error, yet all of them are ordinary memory of
// the CPU.
#pragma once
#pragma OPENCL EXTENSION cl_khr_fp16 : enable
#pragma OPENCL EXTENSION __cl_clang_function_pointers : enable
#pragma OPENCL EXTENSION __cl_clang_variadic_functions : enable
#pragma OPENCL EXTENSION __cl_clang_non_portable_kernel_param_types : enable

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long int64_t;
typedef unsigned long uint64_t;
typedef unsigned long size_t;
typedef long ptrdiff_t;
typedef unsigned long uintptr_t;
typedef long intptr_t;
typedef __bf16 bfloat;

// `device` is a subset of `__global`: a constant pointer does not become a device pointer. `__constant` itself lies outside of the generic space and would
// forbid copies of structs.
#define device __attribute__((opencl_global_device))
#define constant const __global
#define threadgroup __local
#define thread __private

#define MSL_GENERIC __generic
#define MSL_CONSTANT __constant
#define MSL_STATIC static constexpr __global const
#define MSL_INLINE static inline __attribute__((always_inline, unused))
#define METAL_FUNC inline __attribute__((always_inline))
#define METAL_CONST const constant
#define assert(condition) ((void)0)

#include "abi.h"

// The default argument of everything that waits for other threads: the place of the call, not of this line.
#define MSL_SITE                                                                                                                       \
  MSL_CONSTANT const char *site_file = __builtin_FILE(), int site_line = __builtin_LINE(), int site_column = __builtin_COLUMN()
#define MSL_HERE (msl_site{site_file, site_line, site_column})

// OpenCL mode predeclares these at file scope.
#define atomic_int msl_atomic_int
#define atomic_uint msl_atomic_uint
#define atomic_long msl_atomic_long
#define atomic_ulong msl_atomic_ulong
#define atomic_float msl_atomic_float
#define atomic_bool msl_atomic_bool
