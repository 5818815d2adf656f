// The source tool as a process of its own that serves this one.
#pragma once
#include <string>
#include <vector>

namespace softmetal::objc {

struct CompileRequest {
  std::string source, name;
  std::vector<std::string> define;  // "NAME=VALUE"
  bool check = false;
  unsigned version = 320;  // of the language, as __METAL_VERSION__
};

struct Compiled {
  std::string library;  // path; empty: there were errors
  std::string log;      // diagnostics
};

// Any number of threads may wait at the same time; their sources are compiled side by side.
Compiled compile(const CompileRequest &request);

}  // namespace softmetal::objc
