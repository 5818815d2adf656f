// The C API over the classes.
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "dispatch.h"
#include "softmetal.h"

using namespace softmetal;

struct sm_device {
  Device state;
};
struct sm_library {
  std::shared_ptr<const Library> library;
};
struct sm_pipeline {
  Pipeline pipeline;
};
struct sm_buffer {
  Device *device;
  std::unique_ptr<Buffer> buffer;
};

namespace {

void say(char *error, const std::string &text) { snprintf(error, SM_ERROR_BYTES, "%s", text.c_str()); }

sm_buffer *listed(sm_device *device, std::unique_ptr<Buffer> buffer) {
  if (buffer == nullptr) return nullptr;
  auto *made = new (std::nothrow) sm_buffer{&device->state, std::move(buffer)};
  if (made != nullptr) device->state.buffers.add(*made->buffer);
  return made;
}

// Why the constant does not fit the library; empty: it does, or no kernel has it.
std::string mismatch(const Library &library, const sm_constant &constant) {
  const auto found = library.constants().find(constant.index);
  if (found == library.constants().end()) return "";
  const msl_function_constant &declared = found->second;
  if (std::string(constant.type) == declared.type && constant.bytes == declared.bytes) return "";
  return format("function constant %u (%s): expected %s of %u bytes, got %s of %zu bytes", constant.index, declared.name, declared.type, declared.bytes,
                constant.type, constant.bytes);
}

}  // namespace

#define API extern "C" __attribute__((visibility("default")))

API sm_device *sm_device_create(const sm_options *options) {
  auto *device = new (std::nothrow) sm_device;
  if (device == nullptr) return nullptr;
  device->state.options = {static_cast<Order>(options->order), options->seed, options->workers, options->max_threads_per_threadgroup};
  return device;
}

API void sm_device_destroy(sm_device *device) { delete device; }

API size_t sm_fault_count(const sm_device *device) { return device->state.faults.size(); }

API sm_fault sm_fault_at(const sm_device *device, size_t index) {
  const Fault &fault = device->state.faults.at(index);
  return {name(fault.kind), fault.kernel.c_str(), fault.place.file.c_str(), fault.place.line, fault.message.c_str()};
}

API void sm_clear_faults(sm_device *device) { device->state.faults.clear(); }

API sm_buffer *sm_buffer_create(sm_device *device, size_t bytes) { return listed(device, Buffer::create(bytes)); }

API sm_buffer *sm_buffer_wrap(sm_device *device, void *data, size_t bytes) { return listed(device, Buffer::wrap(data, bytes)); }

API void sm_buffer_destroy(sm_buffer *buffer) {
  if (buffer == nullptr) return;
  buffer->device->buffers.remove(*buffer->buffer);
  delete buffer;
}

API void *sm_buffer_contents(const sm_buffer *buffer) { return buffer->buffer->data(); }

API size_t sm_buffer_length(const sm_buffer *buffer) { return buffer->buffer->bytes(); }

API sm_library *sm_library_load(const char *path, char *error) {
  std::string why;
  std::shared_ptr<const Library> library = Library::load(path, why);
  if (library != nullptr) return new (std::nothrow) sm_library{std::move(library)};
  say(error, why);
  return nullptr;
}

API void sm_library_destroy(sm_library *library) { delete library; }

API size_t sm_library_kernel_count(const sm_library *library) { return library->library->kernels().size(); }

API const char *sm_library_kernel_name(const sm_library *library, size_t index) { return library->library->kernels()[index].name.c_str(); }

API sm_pipeline *sm_pipeline_create(const sm_library *library, const char *kernel, const sm_constant *constants, size_t constant_count, char *error) {
  Pipeline pipeline{library->library, library->library->find(kernel), {}};
  if (pipeline.kernel == nullptr) {
    say(error, format("the library has no kernel \"%s\"", kernel));
    return nullptr;
  }
  for (size_t i = 0; i < constant_count; ++i) {
    const std::string why = mismatch(*library->library, constants[i]);
    if (!why.empty()) {
      say(error, why);
      return nullptr;
    }
    const auto *bytes = static_cast<const uint8_t *>(constants[i].value);
    pipeline.constants[constants[i].index].assign(bytes, bytes + constants[i].bytes);
  }
  for (const int index : pipeline.kernel->required) {
    const auto constant = static_cast<uint32_t>(index);
    if (pipeline.constants.count(constant) > 0) continue;
    say(error, format("function constant %u (%s) is not set", constant, library->library->constants().at(constant).name));
    return nullptr;
  }
  return new (std::nothrow) sm_pipeline{std::move(pipeline)};
}

API uint32_t sm_pipeline_max_threads(const sm_pipeline *pipeline) { return pipeline->pipeline.kernel->max_threads; }

API void sm_pipeline_destroy(sm_pipeline *pipeline) { delete pipeline; }

API int sm_run(sm_device *device, const sm_dispatch *given) {
  Device &state = device->state;
  Dispatch dispatch{state, given->pipeline->pipeline};
  // Each dispatch has its own copy of inline bytes, between guard pages.
  std::vector<std::unique_ptr<Buffer>> copies;
  for (size_t i = 0; i < SM_MAX_BINDINGS; ++i) {
    const sm_binding &binding = given->bindings[i];
    if (binding.buffer != nullptr) {
      dispatch.bindings[i] = {binding.buffer->buffer.get(), binding.offset};
    } else if (binding.bytes != nullptr) {
      copies.push_back(Buffer::create(binding.length));
      if (copies.back() == nullptr) {
        dispatch.report(FaultKind::Limit, {}, format("buffer(%zu): no memory for %zu inline bytes", i, binding.length));
        return -1;
      }
      memcpy(copies.back()->data(), binding.bytes, binding.length);
      state.buffers.add(*copies.back());
      dispatch.bindings[i] = {copies.back().get(), 0};
    }
    dispatch.threadgroup_bytes[i] = given->threadgroup_bytes[i];
  }
  dispatch.grid = {given->grid.x, given->grid.y, given->grid.z};
  dispatch.grid_is_threads = given->grid_is_threads != 0;
  const sm_size size = given->threads_per_threadgroup;
  dispatch.threads_per_threadgroup = {size.x, size.y, size.z};
  dispatch.id = ++state.dispatches;
  state.faults.beginDispatch();
  const size_t before = state.faults.size();
  if (validate(dispatch)) {
    dispatch.pipeline.bindConstants();
    run(dispatch);
  }
  for (const auto &copy : copies) state.buffers.remove(*copy);
  return state.faults.size() == before ? 0 : -1;
}

API void sm_memory_barrier(sm_device *device) { device->state.interval = nextInterval(); }
