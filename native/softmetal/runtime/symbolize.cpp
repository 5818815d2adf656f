#include "symbolize.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>

extern char **environ;

namespace softmetal {
namespace {

// What a program prints, or "" if it cannot be run.
std::string outputOf(const char *const *arguments) {
  int ends[2];
  // A process that another thread starts meanwhile must not hold the pipe open.
  if (pipe2(ends, O_CLOEXEC) != 0) return "";
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int failed = posix_spawnp(&child, arguments[0], &actions, nullptr, const_cast<char *const *>(arguments), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string output;
  if (failed == 0) {
    char chunk[1024];
    for (ssize_t n; (n = read(ends[0], chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR);)
      if (n > 0) output.append(chunk, static_cast<size_t>(n));
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  close(ends[0]);
  return output;
}

}  // namespace

Place symbolize(const void *address) {
  Dl_info info;
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return {};
  const auto offset = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(info.dli_fbase);
  const std::string object = std::string("--obj=") + info.dli_fname, number = format("0x%zx", static_cast<size_t>(offset));
  const char *const arguments[] = {"llvm-symbolizer-19", object.c_str(), "--functions=none", number.c_str(), nullptr};
  std::istringstream lines(outputOf(arguments));
  // Innermost first: functions of the shim are inlined into the kernel's.
  for (std::string line; std::getline(lines, line);) {
    const size_t column = line.rfind(':');
    const size_t row = column == std::string::npos || column == 0 ? std::string::npos : line.rfind(':', column - 1);
    if (row == std::string::npos || line.find("/shim/") != std::string::npos) continue;
    const unsigned long number = strtoul(line.c_str() + row + 1, nullptr, 10);
    if (number > 0) return {line.substr(0, row), static_cast<uint32_t>(number)};
  }
  return {};
}

}  // namespace softmetal
