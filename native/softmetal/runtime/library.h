// Kernel libraries made by the source tool, and pipelines: a kernel with the values of its function constants.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../shim/abi.h"

namespace softmetal {

struct Kernel {
  std::string name;
  void (*run)(const msl_context *);
  std::vector<msl_argument> arguments;
  uint32_t max_threads;
  std::vector<int> required;  // function constants that have to be set
};

class Library {
 public:
  // nullptr: `error` says why.
  static std::shared_ptr<const Library> load(const char *path, std::string &error);
  Library(const Library &) = delete;
  Library &operator=(const Library &) = delete;
  ~Library();

  const std::vector<Kernel> &kernels() const { return kernels_; }
  const Kernel *find(const std::string &name) const;
  const std::map<uint32_t, msl_function_constant> &constants() const { return constants_; }
  bool checked() const { return checked_; }
  // Whether the address lies in the library's code or data.
  bool owns(const void *address) const;
  // Computes the constants that depend on function constants.
  void derive() const { derive_(); }

 private:
  Library() = default;
  void measure(const void *base);
  void *handle_ = nullptr;
  std::vector<Kernel> kernels_;
  std::map<uint32_t, msl_function_constant> constants_;
  void (*derive_)() = nullptr;
  bool checked_ = false;
  uintptr_t start_ = 0, end_ = 0;
};

struct Pipeline {
  std::shared_ptr<const Library> library;
  const Kernel *kernel;
  std::map<uint32_t, std::vector<uint8_t>> constants;

  // Puts the values where the library's code reads them. Pipelines of one library share these places.
  void bindConstants() const;
  // Whether the function constant is defined and not zero.
  bool enabled(int constant) const;
};

}  // namespace softmetal
