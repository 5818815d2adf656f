#include "prepare.h"

#include <cmath>
#include <cstdio>
#include <cstring>

#include "../program/reader.h"

namespace rlx::metal {
namespace {

bool integer(double v, double least, double most) { return v >= least && v <= most && v == std::floor(v); }
bool is_size(double v) { return integer(v, 0, MAX_BYTES); }

std::string shown(double v) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", v);
  return text;
}

struct Range {
  double least, most;
  const char* name;
};
Range range_of(ArgumentType type) {
  switch (type) {
    case ArgumentType::uint: return {0, 4294967295.0, "uint"};
    case ArgumentType::sint: return {-2147483648.0, 2147483647.0, "int"};
    case ArgumentType::ulong: return {0, MAX_BYTES, "ulong"};
    default: return {-MAX_BYTES, MAX_BYTES, "long"};
  }
}

}  // namespace

bool Prepared::update(const std::vector<double>& extents, Failure& failure) {
  if (ready_ && extents == extents_) return true;
  ready_ = false;
  const auto& symbols = program_.symbols;
  if (extents.size() != symbols.size())
    return failure.set(Failure::Kind::invalid, "expected " + std::to_string(symbols.size()) + " extents, got " + std::to_string(extents.size()));
  for (size_t i = 0; i < extents.size(); i++)
    if (!integer(extents[i], symbols[i].min, symbols[i].max))
      return failure.set(Failure::Kind::invalid, "extent " + std::to_string(i) + " is out of its bounds");
  evaluate(program_.expressions, extents, values_);
  launches.clear();
  bindings.clear();
  arguments.clear();
  threadgroup_bytes.clear();
  if (!buffers(failure)) return false;
  for (const Launch& l : program_.launches)
    if (!launch(l, failure)) return false;
  extents_ = extents;
  ready_ = true;
  return true;
}

bool Prepared::buffers(Failure& failure) {
  buffer_bytes.clear();
  for (const Buffer& b : program_.buffers) {
    const double bytes = values_[b.actual];
    if (!is_size(bytes) || bytes > static_cast<double>(b.bytes))
      return failure.set(Failure::Kind::invalid,
                         "buffer " + std::to_string(buffer_bytes.size()) + " needs " + shown(bytes) + " bytes of " + std::to_string(b.bytes));
    buffer_bytes.push_back(static_cast<size_t>(bytes));
  }
  return true;
}

bool Prepared::launch(const Launch& l, Failure& failure) {
  PreparedLaunch p{};
  p.step = l.step;
  p.pipeline = l.pipeline;
  p.in_threads = l.in_threads;
  p.threads = l.threads;
  size_t* const grid[] = {&p.grid.x, &p.grid.y, &p.grid.z};
  for (int i = 0; i < 3; i++) {
    const double extent = values_[l.grid[i]];
    if (!integer(extent, 0, 4294967295.0)) return failure.set(Failure::Kind::invalid, "a grid of " + shown(extent), l.step);
    *grid[i] = static_cast<size_t>(extent);
    if (extent == 0) p.empty = true;
  }
  p.arguments = arguments.size();
  p.bindings = bindings.size();
  p.threadgroup_bytes = threadgroup_bytes.size();
  if (!p.empty) {
    if (!arguments_of(l, failure) || !threadgroup_memory_of(l, failure)) return false;
    for (uint32_t i = 0; i < l.bindings.size(); i++)
      if (!binding_of(l, i, failure)) return false;
  }
  p.argument_bytes = arguments.size() - p.arguments;
  p.binding_count = bindings.size() - p.bindings;
  p.threadgroup_count = threadgroup_bytes.size() - p.threadgroup_bytes;
  launches.push_back(p);
  return true;
}

bool Prepared::arguments_of(const Launch& l, Failure& failure) {
  // Structs begin at multiples of 8, so that members may be aligned within all of them together.
  const auto append = [this](const void* data, size_t bytes) {
    const size_t at = (arguments.size() + bytes - 1) / bytes * bytes;
    arguments.resize(at + bytes);
    std::memcpy(arguments.data() + at, data, bytes);
  };
  for (size_t i = 0; i < l.arguments.size(); i++) {
    const Argument& a = l.arguments[i];
    if (a.type == ArgumentType::real) append(&a.real, sizeof(a.real));
    else if (a.type == ArgumentType::slot) append(&l.slot, sizeof(l.slot));
    else {
      const Range range = range_of(a.type);
      const double value = values_[a.value];
      if (!integer(value, range.least, range.most))
        return failure.set(Failure::Kind::invalid, "argument " + std::to_string(i) + ": expected " + range.name + ", got " + shown(value), l.step);
      const auto number = static_cast<int64_t>(value);
      const auto low = static_cast<uint32_t>(number);
      if (a.wide()) append(&number, sizeof(number));
      else append(&low, sizeof(low));
    }
  }
  arguments.resize((arguments.size() + 7) / 8 * 8);
  return true;
}

bool Prepared::threadgroup_memory_of(const Launch& l, Failure& failure) {
  const size_t limit = threadgroup_limits_[l.pipeline];
  double sum = 0;
  for (const Expr e : l.threadgroup_bytes) {
    const double bytes = values_[e];
    if (!is_size(bytes) || std::fmod(bytes, 16) != 0)
      return failure.set(Failure::Kind::invalid, "threadgroup memory: expected a multiple of 16 bytes, got " + shown(bytes), l.step);
    sum += bytes;
    threadgroup_bytes.push_back(static_cast<size_t>(bytes));
  }
  return sum <= static_cast<double>(limit) ||
         failure.set(Failure::Kind::invalid, "threadgroup memory: expected at most " + std::to_string(limit) + " bytes, got " + shown(sum), l.step);
}

bool Prepared::binding_of(const Launch& l, uint32_t i, Failure& failure) {
  const Binding& b = l.bindings[i];
  if (b.kind == BindingKind::none) return true;
  if (b.kind == BindingKind::status) {
    bindings.push_back({i + 1, status_source(program_), b.access, 0, status_bytes(program_)});
    return true;
  }
  const bool scratch = b.kind == BindingKind::scratch;
  const size_t capacity = scratch ? program_.arena_bytes : buffer_bytes[b.buffer];
  const double base = values_[b.base], limit = values_[b.limit], offset = values_[b.offset], bytes = values_[b.bytes];
  const bool sizes = is_size(base) && is_size(limit) && is_size(offset) && is_size(bytes);
  if (!sizes || offset + bytes > limit || base + limit > static_cast<double>(capacity))
    return failure.set(Failure::Kind::invalid,
                       "buffer argument " + std::to_string(i + 1) + " needs bytes [" + shown(offset) + ", " + shown(offset + bytes) + ") of " + shown(limit) +
                           " at " + shown(base) + " in " + (scratch ? "an arena" : "a buffer") + " of " + std::to_string(capacity),
                       l.step);
  bindings.push_back({i + 1, scratch ? arena_source(program_) : b.buffer, b.access, static_cast<size_t>(base + offset), static_cast<size_t>(bytes)});
  return true;
}

}  // namespace rlx::metal
