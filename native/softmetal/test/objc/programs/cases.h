// A program of cases. Without arguments it runs all of them but those that end the process; each prints lines, and behind them what stayed alive and what was
// reported. With an argument it runs that one.
#pragma once
#import <Metal/Metal.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "softmetal_testing.h"

struct Case {
  const char *name;
  void (*run)();
  bool fatal;
};
inline std::vector<Case> &cases() {
  static std::vector<Case> all;
  return all;
}
struct Registered {
  Registered(const char *name, void (*run)(), bool fatal) { cases().push_back({name, run, fatal}); }
};
#define DEFINE_CASE(NAME, FATAL)                                \
  static void NAME();                                           \
  static const Registered registered_##NAME{#NAME, NAME, FATAL}; \
  static void NAME()
#define CASE(NAME) DEFINE_CASE(NAME, false)
#define FATAL_CASE(NAME) DEFINE_CASE(NAME, true)

inline void runCase(const Case &each) {
  printf("== %s\n", each.name);
  @autoreleasepool {
    each.run();
  }
  const softmetal_counters alive = softmetal_count();
  if (alive.objects != 0) printf("alive: %lld\n", static_cast<long long>(alive.objects));
  for (size_t i = 0; i < softmetal_fault_count(); ++i) printf("%s: %s\n", softmetal_fault_at(i).kind, softmetal_fault_at(i).message);
  softmetal_clear_faults();
  fflush(stdout);
}

inline int runCases(int count, char **arguments) {
  for (const Case &each : cases())
    if (count > 1 ? strcmp(arguments[1], each.name) == 0 : !each.fatal) runCase(each);
  return 0;
}

inline const char *textOf(NSString *string) { return string == nil ? "nil" : string.UTF8String; }
inline const char *textOf(NSError *error) { return error == nil ? "no error" : textOf(error.localizedDescription); }
