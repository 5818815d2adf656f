#include "json.h"

#include <cstdint>
#include <cstdlib>

#include "../foundation/utf.h"

namespace softmetal::objc {
namespace {

// Reads from `at` on and moves it behind what was read.
class Reader {
 public:
  explicit Reader(const std::string &line) : line_(line) {}
  bool skip(char c) {
    while (at_ < line_.size() && (line_[at_] == ' ' || line_[at_] == '\t')) ++at_;
    if (at_ >= line_.size() || line_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool string(std::string &out) {
    if (!skip('"')) return false;
    while (at_ < line_.size() && line_[at_] != '"') {
      if (line_[at_] == '\\' && at_ + 1 < line_.size()) escape(out);
      else out += line_[at_++];
    }
    return skip('"');
  }
  // A number, true, false or null.
  std::string word() {
    const size_t start = at_;
    while (at_ < line_.size() && line_[at_] != ',' && line_[at_] != '}') ++at_;
    return line_.substr(start, at_ - start);
  }

 private:
  uint32_t unit() {
    const auto value = static_cast<uint32_t>(strtoul(line_.substr(at_, 4).c_str(), nullptr, 16));
    at_ += 4;
    return value;
  }
  void escape(std::string &out) {
    const char c = line_[at_ + 1];
    at_ += 2;
    if (c != 'u') {
      out += c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
      return;
    }
    const uint32_t high = unit();
    const bool pair = isHighSurrogate(high) && line_.compare(at_, 2, "\\u") == 0;
    if (!pair) return appendUtf8(out, high);
    at_ += 2;
    appendUtf8(out, fromSurrogates(high, unit()));
  }
  const std::string &line_;
  size_t at_ = 0;
};

}  // namespace

std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (const char c : text) {
    constexpr char digits[] = "0123456789abcdef";
    if (c == '"' || c == '\\') (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20) ((out += "\\u00") += digits[c >> 4]) += digits[c & 15];
    else out += c;
  }
  return out += '"';
}

std::map<std::string, std::string> members(const std::string &line) {
  Reader reader(line);
  std::map<std::string, std::string> all;
  if (!reader.skip('{')) return {};
  do {
    std::string name, value;
    if (!reader.string(name) || !reader.skip(':')) return {};
    if (reader.string(value)) all[name] = value;
    else if ((value = reader.word()) != "null") all[name] = value;
  } while (reader.skip(','));
  return reader.skip('}') ? all : std::map<std::string, std::string>();
}

}  // namespace softmetal::objc
