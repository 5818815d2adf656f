#include <metal_stdlib>
using namespace metal;
struct A {
  virtual void f() {}
};
kernel void k(device float *o [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  A a;
  a.f();
  o[i] = 1;
}
