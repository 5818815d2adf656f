// Lists of indices into an axis: what is wrong with one is reported by one thread, for the first that is wrong.
#pragma once
#include "common.h"

// Code 1 of kernels that take indices: the place in the list, the extent of the axis, the index.
constant uint WRONG_INDEX = 1;

inline bool within(long index, uint extent) { return index >= 0 && index < long(extent); }

// Called by the one thread that answers for `place`, whose index is wrong; an earlier one that is wrong too is left to its own thread.
inline void report_index(device Status *status, uint slot, device const uchar *indices, uint dtype, uint place, uint extent) {
  for (uint i = 0; i < place; i++)
    if (!within(load_int(indices, dtype, i), extent)) return;
  report(status, slot, WRONG_INDEX, place, extent, load_int(indices, dtype, place));
}
