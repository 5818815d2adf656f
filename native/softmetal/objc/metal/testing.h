// What softmetal_testing.h tells: the configuration of devices to come, the log of faults, counters.
#pragma once
#include <atomic>
#include <string>
#include <vector>

#include "../../include/softmetal_testing.h"

namespace softmetal::objc {

struct FaultText {
  std::string kind, kernel, file, message;
  uint32_t line = 0;
  // "race: kernel fwht, fwht.metal:12: ..."
  std::string describe() const;
};

FaultText misuse(std::string message);
// Adds to the log that tests read.
void record(const FaultText &fault);

struct Counters {
  std::atomic<int64_t> buffers{0}, command_buffers{0};
  std::atomic<uint64_t> bytes{0}, committed{0}, dispatches{0}, barriers{0}, libraries{0};
};
Counters &counters();

softmetal_options configuration();
// Grows with every loss: devices made before are lost.
uint64_t losses();

}  // namespace softmetal::objc
