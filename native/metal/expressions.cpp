#include <algorithm>
#include <cmath>

#include "program.h"

namespace rlx::metal {
namespace {

double floor_div(double a, double b) { return b > 0 ? std::floor(a / b) : NAN; }

double apply(Operator op, double a, double b) {
  switch (op) {
    case Operator::add: return a + b;
    case Operator::sub: return a - b;
    case Operator::mul: return a * b;
    case Operator::div: return floor_div(a, b);
    case Operator::ceil_div: return -floor_div(-a, b);
    case Operator::rem: return a - b * floor_div(a, b);
    case Operator::min: return std::min(a, b);
    case Operator::max: return std::max(a, b);
    case Operator::constant:
    case Operator::symbol: break;
  }
  return NAN;
}

}  // namespace

void evaluate(const std::vector<Expression>& expressions, const std::vector<double>& extents, std::vector<double>& values) {
  values.resize(expressions.size());
  for (size_t i = 0; i < expressions.size(); i++) {
    const Expression& e = expressions[i];
    if (e.op == Operator::constant) values[i] = e.value;
    else if (e.op == Operator::symbol) values[i] = extents[e.a];
    else values[i] = apply(e.op, values[e.a], values[e.b]);
  }
}

}  // namespace rlx::metal
