// Reads the numbers of an encoded program, which may hold anything: every count and index is checked.
#pragma once
#include <cmath>
#include <cstddef>
#include <string>

namespace rlx {

constexpr double MAX_BYTES = 9007199254740992.0;  // 2^53: doubles compare exactly up to here, and anything above is out of every buffer

// Reads in order; after the first bad number every read gives 0 and `error` says what was wrong.
class Reader {
 public:
  Reader(const double* words, size_t count) : words_(words), count_(count) {}
  double number(const char* what) {
    if (bad) return 0;
    if (at_ >= count_) return fail(what, "ends early");
    return words_[at_++];
  }
  // An integer in [0, limit).
  size_t index(const char* what, double limit) {
    const double v = number(what);
    if (!bad && !(v >= 0 && v < limit && v == std::floor(v))) fail(what, "is out of range");
    return bad ? 0 : static_cast<size_t>(v);
  }
  // A count of things that take at least one word each.
  size_t length(const char* what) { return index(what, static_cast<double>(count_ - at_) + 1); }
  double fail(const char* what, const char* how) {
    if (!bad) error = std::string("program: ") + what + " " + how;
    bad = true;
    return 0;
  }
  bool done() const { return at_ == count_; }
  bool bad = false;
  std::string error;

 private:
  const double* words_;
  size_t count_, at_ = 0;
};

}  // namespace rlx
