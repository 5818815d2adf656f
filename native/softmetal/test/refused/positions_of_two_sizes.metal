#include <metal_stdlib>
using namespace metal;
kernel void k(device float *o [[buffer(0)]], uint3 group [[threadgroup_position_in_grid]],
              uint threads [[threads_per_threadgroup]]) {
  o[group.x] = threads;
}
