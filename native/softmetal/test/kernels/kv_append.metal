#include <metal_stdlib>
using namespace metal;

// Appends tokens to a ring of half vectors, one thread per element.
struct AppendParams {
  uint head_dim, heads, capacity, position, tokens;
};

kernel void kv_append(device const float *source [[buffer(0)]],  // [tokens][heads][head_dim]
                      device half *cache [[buffer(1)]],          // [heads][capacity][head_dim]
                      constant AppendParams &p [[buffer(2)]],
                      uint3 at [[thread_position_in_grid]]) {
  if (at.x >= p.head_dim || at.y >= p.heads || at.z >= p.tokens) return;
  uint slot = (p.position + at.z) % p.capacity;
  cache[(at.y * p.capacity + slot) * p.head_dim + at.x] = half(source[(at.z * p.heads + at.y) * p.head_dim + at.x]);
}
