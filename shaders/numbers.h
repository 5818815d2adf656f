// Elements as bytes, and as the numbers that they are computed in: float, or long that wraps.
#pragma once
#include "common.h"

// One unit of 1, 2, 4, 8 or 16 bytes; places count units.
inline void move_unit(device uchar *to, ulong to_place, device const uchar *from, ulong from_place, uint unit) {
  switch (unit) {
    case 16: ((device uint4 *)to)[to_place] = ((device const uint4 *)from)[from_place]; break;
    case 8: ((device uint2 *)to)[to_place] = ((device const uint2 *)from)[from_place]; break;
    case 4: ((device uint *)to)[to_place] = ((device const uint *)from)[from_place]; break;
    case 2: ((device ushort *)to)[to_place] = ((device const ushort *)from)[from_place]; break;
    default: to[to_place] = from[from_place];
  }
}

// The low bits, as two's complement wraps.
inline void store_int(device uchar *data, uint dtype, ulong index, long value) {
  switch (dtype) {
    case I8:
    case U8: data[index] = uchar(value); break;
    case I16: ((device ushort *)data)[index] = ushort(value); break;
    case I32:
    case U32: ((device uint *)data)[index] = uint(value); break;
    default: ((device long *)data)[index] = value;
  }
}

inline bool is_float(uint dtype) { return dtype == F32 || dtype == F16 || dtype == BF16; }

// By the type of the last argument or of the value.
inline float load_number(device const uchar *x, uint dtype, ulong index, float) { return load_float(x, dtype, index); }
inline long load_number(device const uchar *x, uint dtype, ulong index, long) { return load_int(x, dtype, index); }
inline void store_number(device uchar *out, uint dtype, ulong index, float v) { store_float(out, dtype, index, v); }
inline void store_number(device uchar *out, uint dtype, ulong index, long v) { store_int(out, dtype, index, v); }
inline float plus(float a, float b) { return a + b; }
inline long plus(long a, long b) { return long(ulong(a) + ulong(b)); }
inline float times(float a, float b) { return a * b; }
inline long times(long a, long b) { return long(ulong(a) * ulong(b)); }
