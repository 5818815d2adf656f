// Elements as bytes, and stores of integers.
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
