// How a routine (matmul, convolution, ...) finishes its results. The routine is written once; a fused epilogue is generated text in
// front of its file (packages/backend-metal/src/msl/epilogue.ts), which defines what is below. Without one, results stay as they are.
//
//   struct Args {
//     uint rows;
//     EPILOGUE_MEMBERS                                     // last: the shapes of the epilogue's own operands
//   };
//   kernel void routine(constant Args &args [[buffer(0)]], ..., device uchar *out [[buffer(4)]] EPILOGUE_PARAMETERS,  // no comma in front
//                       uint3 group [[threadgroup_position_in_grid]]) {
//     const Epilogue epilogue = EPILOGUE(args);            // handed on to functions by value
//     ...
//     store_result(out, OUT_TYPE, index, epilogue.apply(value, index));  // `index`: flat, within the routine's whole result
//
// `value` is the routine's float, not rounded: the body rounds it to the routine's own dtype first, as if it had been stored.
// OUT_TYPE is the dtype of the step's output, which the body decides (any but f64).
#pragma once
#include "scalar.h"

#ifndef EPILOGUE
#define EPILOGUE_MEMBERS
#define EPILOGUE_PARAMETERS
#define EPILOGUE(args) Epilogue()
struct Epilogue {
  float apply(float value, ulong) const { return value; }
};
#endif
