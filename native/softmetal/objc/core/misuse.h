// What host code does wrong, where Metal's validation would end the process: collected for tests (softmetal_testing.h).
#pragma once
#include <string>

namespace softmetal::objc {

void reportMisuse(const std::string &message);

}  // namespace softmetal::objc
