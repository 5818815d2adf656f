// Where elements of operands lie that are broadcast to a result, right-aligned.
#pragma once
#include "common.h"

// Axes of the result, neighbours joined where no operand tells them apart; strides in elements, 0 where an operand is broadcast.
template <uint OPERANDS, uint AXES>
struct Broadcast {
  uint count;  // elements of the result
  uint dims[AXES];
  uint strides[OPERANDS][AXES];
};

template <uint OPERANDS>
struct Positions {
  uint of[OPERANDS];
};

// The position in every operand of the result's element `index`.
template <uint OPERANDS, uint AXES>
inline Positions<OPERANDS> positions(constant Broadcast<OPERANDS, AXES> &shape, uint index) {
  Positions<OPERANDS> at;
  for (uint k = 0; k < OPERANDS; k++) at.of[k] = 0;
  for (uint axis = AXES - 1; axis > 0; axis--) {
    const uint outer = index / shape.dims[axis];
    const uint coordinate = index - outer * shape.dims[axis];
    for (uint k = 0; k < OPERANDS; k++) at.of[k] += coordinate * shape.strides[k][axis];
    index = outer;
  }
  for (uint k = 0; k < OPERANDS; k++) at.of[k] += index * shape.strides[k][0];
  return at;
}
