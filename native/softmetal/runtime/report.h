// What kernels do wrong, said once per place and dispatch.
#pragma once
#include <cstdarg>
#include <cstdint>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <tuple>

namespace softmetal {

enum class FaultKind { Race, Bounds, Uninitialised, Divergence, Barrier, Binding, Limit, Trap, Misuse };
const char *name(FaultKind kind);

// A place in a kernel's source. `file` is empty when it is not known.
struct Place {
  std::string file;
  uint32_t line = 0;
};

struct Fault {
  FaultKind kind;
  std::string kernel;
  Place place;
  std::string message;
};

class FaultLog {
 public:
  void add(Fault fault);
  // Forgets what the dispatch before has said.
  void beginDispatch();
  // Whether this is the first fault of its kind at this place (a return address, or a line) in the dispatch. After 64 of them the answer is no.
  bool first(FaultKind kind, uintptr_t place, uint32_t column = 0);
  size_t size() const;
  const Fault &at(size_t index) const { return faults_[index]; }
  void clear();

 private:
  mutable std::mutex mutex_;
  std::deque<Fault> faults_;  // references stay valid while it grows
  std::set<std::tuple<FaultKind, uintptr_t, uint32_t>> seen_;
};

// printf into a string.
std::string format(const char *text, ...) __attribute__((format(printf, 1, 2)));

}  // namespace softmetal
