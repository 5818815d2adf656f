// As much JSON as the source tool speaks: objects of strings and numbers, one per line.
#pragma once
#include <map>
#include <string>

namespace softmetal::objc {

std::string quoted(const std::string &text);
// The members of `{"name": "text" or a number or null, ...}`; null is left out. Empty if it is not that.
std::map<std::string, std::string> members(const std::string &line);

}  // namespace softmetal::objc
