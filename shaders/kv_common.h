// What all kernels of KV caches share.
#pragma once
#include "numbers.h"

constant long MAX_POSITION = 9007199254740991;  // of the integers that JavaScript knows

// Two extents as one value of a report.
inline long packed_pair(uint low, uint high) { return long(ulong(low) | ulong(high) << 32); }
