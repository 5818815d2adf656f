// Runs a script of dispatches, for tests: one command per line on stdin, words separated by blanks.
//
//   options forward|reverse|random SEED WORKERS MAX_THREADS   (first)
//   library NAME PATH
//   list LIBRARY                                              prints its kernels, one a line
//   pipeline NAME LIBRARY KERNEL [INDEX:TYPE:HEX ...]         constants
//   buffer NAME BYTES [FILE]                                  zeroed, or with the file's bytes in front
//   wrap NAME BYTES                                           a buffer over zeroed memory of the driver's own
//   run PIPELINE threads|threadgroups X Y Z SIZE_X SIZE_Y SIZE_Z [bINDEX=BUFFER+OFFSET | bINDEX=#HEX | tINDEX=BYTES ...]
//   barrier
//   read BUFFER FILE
//
// Prints one line per fault: kind, kernel, file, line, message, separated by tabs. A script that cannot be carried out ends with exit code 2.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "../runtime/softmetal.h"

namespace {

[[noreturn]] void fail(const std::string &message) {
  fprintf(stderr, "softmetal driver: %s\n", message.c_str());
  exit(2);
}

std::vector<uint8_t> fromHex(const std::string &text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) bytes.push_back(static_cast<uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

class Driver {
 public:
  void execute(const std::string &line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "options") return options(words);
    if (device_ == nullptr) fail("the first command has to be options");
    if (command == "library") return library(words);
    if (command == "pipeline") return pipeline(words);
    if (command == "buffer") return buffer(words);
    if (command == "list") return list(words);
    if (command == "wrap") return wrap(words);
    if (command == "run") return run(words);
    if (command == "barrier") return sm_memory_barrier(device_);
    if (command == "read") return read(words);
    fail("unknown command: " + line);
  }

  void printFaults() const {
    for (size_t i = 0; device_ != nullptr && i < sm_fault_count(device_); ++i) {
      const sm_fault fault = sm_fault_at(device_, i);
      printf("%s\t%s\t%s\t%u\t%s\n", fault.kind, fault.kernel, fault.file, fault.line, fault.message);
    }
  }

 private:
  void options(std::istringstream &words) {
    std::string order;
    sm_options options{};
    words >> order >> options.seed >> options.workers >> options.max_threads_per_threadgroup;
    options.order = order == "random" ? SM_RANDOM : order == "reverse" ? SM_REVERSE : SM_FORWARD;
    device_ = sm_device_create(&options);
  }

  void library(std::istringstream &words) {
    std::string name, path;
    words >> name >> path;
    libraries_[name] = sm_library_load(path.c_str(), error_);
    if (libraries_[name] == nullptr) fail(error_);
  }

  void pipeline(std::istringstream &words) {
    std::string name, library, kernel;
    words >> name >> library >> kernel;
    std::vector<std::string> types;
    std::vector<std::vector<uint8_t>> values;
    std::vector<sm_constant> constants;
    for (std::string word; words >> word;) {
      const size_t type = word.find(':'), value = word.find(':', type + 1);
      types.push_back(word.substr(type + 1, value - type - 1));
      values.push_back(fromHex(word.substr(value + 1)));
      constants.push_back({static_cast<uint32_t>(std::stoul(word)), nullptr, nullptr, values.back().size()});
    }
    for (size_t i = 0; i < constants.size(); ++i) {
      constants[i].type = types[i].c_str();
      constants[i].value = values[i].data();
    }
    pipelines_[name] = sm_pipeline_create(libraries_.at(library), kernel.c_str(), constants.data(), constants.size(), error_);
    if (pipelines_[name] == nullptr) fail(error_);
  }

  void buffer(std::istringstream &words) {
    std::string name, path;
    size_t bytes = 0;
    words >> name >> bytes >> path;
    buffers_[name] = sm_buffer_create(device_, bytes);
    if (buffers_[name] == nullptr) fail("no memory for buffer " + name);
    if (path.empty()) return;
    std::ifstream file(path, std::ios::binary);
    if (!file) fail("cannot read " + path);
    file.read(static_cast<char *>(sm_buffer_contents(buffers_[name])), static_cast<std::streamsize>(bytes));
  }

  void list(std::istringstream &words) {
    std::string name;
    words >> name;
    const sm_library *library = libraries_.at(name);
    for (size_t i = 0; i < sm_library_kernel_count(library); ++i) printf("%s\n", sm_library_kernel_name(library, i));
  }

  void wrap(std::istringstream &words) {
    std::string name;
    size_t bytes = 0;
    words >> name >> bytes;
    // Room behind the buffer: what lies there is the driver's, too.
    own_[name].resize(bytes + 4096);
    buffers_[name] = sm_buffer_wrap(device_, own_[name].data(), bytes);
  }

  void run(std::istringstream &words) {
    std::string pipeline, unit;
    sm_dispatch dispatch{};
    words >> pipeline >> unit >> dispatch.grid.x >> dispatch.grid.y >> dispatch.grid.z;
    words >> dispatch.threads_per_threadgroup.x >> dispatch.threads_per_threadgroup.y >> dispatch.threads_per_threadgroup.z;
    dispatch.pipeline = pipelines_.at(pipeline);
    dispatch.grid_is_threads = unit == "threads";
    std::map<size_t, std::vector<uint8_t>> inlined;
    for (std::string word; words >> word;) {
      const size_t index = std::stoul(word.substr(1)), equals = word.find('=');
      const std::string value = word.substr(equals + 1);
      if (index >= SM_MAX_BINDINGS) fail("index beyond the bindings: " + word);
      if (word[0] == 't') {
        dispatch.threadgroup_bytes[index] = static_cast<uint32_t>(std::stoul(value));
      } else if (value[0] == '#') {
        inlined[index] = fromHex(value.substr(1));
        dispatch.bindings[index] = {nullptr, 0, inlined[index].data(), inlined[index].size()};
      } else {
        const size_t plus = value.find('+');
        dispatch.bindings[index] = {buffers_.at(value.substr(0, plus)), std::stoul(value.substr(plus + 1)), nullptr, 0};
      }
    }
    sm_run(device_, &dispatch);
  }

  void read(std::istringstream &words) {
    std::string name, path;
    words >> name >> path;
    std::ofstream file(path, std::ios::binary);
    file.write(static_cast<const char *>(sm_buffer_contents(buffers_.at(name))), static_cast<std::streamsize>(sm_buffer_length(buffers_.at(name))));
    if (!file) fail("cannot write " + path);
  }

  sm_device *device_ = nullptr;
  std::map<std::string, sm_library *> libraries_;
  std::map<std::string, sm_pipeline *> pipelines_;
  std::map<std::string, sm_buffer *> buffers_;
  std::map<std::string, std::vector<uint8_t>> own_;
  char error_[SM_ERROR_BYTES] = "";
};

}  // namespace

int main() {
  Driver driver;
  for (std::string line; std::getline(std::cin, line);) driver.execute(line);
  driver.printFaults();
  return 0;
}
