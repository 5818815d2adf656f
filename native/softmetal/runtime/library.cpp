#include "library.h"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstring>

#include "report.h"

namespace softmetal {
namespace {

// Kernel libraries find the runtime's functions among the global symbols. Inside of an addon, which Node loads privately, they have to be made global first.
void exportRuntime() {
  Dl_info own;
  if (dladdr(reinterpret_cast<void *>(&exportRuntime), &own) == 0 || own.dli_fname == nullptr) return;
  dlopen(own.dli_fname, RTLD_LAZY | RTLD_GLOBAL | RTLD_NOLOAD);
}

}  // namespace

std::shared_ptr<const Library> Library::load(const char *path, std::string &error) {
  exportRuntime();
  std::shared_ptr<Library> library(new Library);
  library->handle_ = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library->handle_ == nullptr) {
    error = dlerror();
    return nullptr;
  }
  const auto *table = static_cast<const msl_library *>(dlsym(library->handle_, "msl_library_table"));
  library->derive_ = reinterpret_cast<void (*)()>(dlsym(library->handle_, "msl_derive"));
  if (table == nullptr || library->derive_ == nullptr) {
    error = format("%s was not made by the source tool of software Metal", path);
    return nullptr;
  }
  if (table->abi != MSL_ABI) {
    error = format("%s was made for version %u of the runtime, this is version %u: build the two of them from the same sources", path, table->abi,
                   unsigned{MSL_ABI});
    return nullptr;
  }
  library->checked_ = table->checked;
  library->measure(table);
  for (int i = 0; i < table->kernel_count; ++i) {
    const msl_kernel &kernel = table->kernels[i];
    auto run = reinterpret_cast<void (*)(const msl_context *)>(dlsym(library->handle_, format("msl_run_%d", i).c_str()));
    std::vector<msl_argument> arguments(kernel.arguments, kernel.arguments + kernel.argument_count);
    std::vector<int> required(kernel.required, kernel.required + kernel.required_count);
    library->kernels_.push_back({kernel.name, run, std::move(arguments), static_cast<uint32_t>(kernel.max_threads), std::move(required)});
  }
  for (int i = 0; i < table->constant_count; ++i) library->constants_[static_cast<uint32_t>(table->constants[i].index)] = table->constants[i];
  return library;
}

Library::~Library() {
  if (handle_ != nullptr) dlclose(handle_);
}

const Kernel *Library::find(const std::string &name) const {
  auto found = std::find_if(kernels_.begin(), kernels_.end(), [&](const Kernel &kernel) { return kernel.name == name; });
  return found == kernels_.end() ? nullptr : &*found;
}

bool Library::owns(const void *address) const {
  const auto at = reinterpret_cast<uintptr_t>(address);
  return at >= start_ && at < end_;
}

// The range of the image that has `inside`.
void Library::measure(const void *inside) {
  struct Search {
    uintptr_t inside, start, end;
  } search{reinterpret_cast<uintptr_t>(inside), 0, 0};
  dl_iterate_phdr(
      [](dl_phdr_info *info, size_t, void *data) {
        auto &wanted = *static_cast<Search *>(data);
        uintptr_t start = UINTPTR_MAX, end = 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto &segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD) continue;
          start = std::min(start, static_cast<uintptr_t>(info->dlpi_addr + segment.p_vaddr));
          end = std::max(end, static_cast<uintptr_t>(info->dlpi_addr + segment.p_vaddr + segment.p_memsz));
        }
        if (wanted.inside < start || wanted.inside >= end) return 0;
        wanted.start = start;
        wanted.end = end;
        return 1;
      },
      &search);
  start_ = search.start;
  end_ = search.end;
}

void Pipeline::bindConstants() const {
  for (const auto &[index, constant] : library->constants()) {
    const auto given = constants.find(index);
    *constant.defined = given != constants.end();
    if (*constant.defined)
      memcpy(constant.value, given->second.data(), constant.bytes);
    else
      memset(constant.value, 0, constant.bytes);
  }
  library->derive();
}

bool Pipeline::enabled(int constant) const {
  const auto given = constants.find(static_cast<uint32_t>(constant));
  if (given == constants.end()) return false;
  return std::any_of(given->second.begin(), given->second.end(), [](uint8_t byte) { return byte != 0; });
}

}  // namespace softmetal
