#include "device.h"

#include <unistd.h>

#include <cstring>

#include "../core/misuse.h"
#include "buffer.h"
#include "compiler.h"
#include "library.h"
#include "queue.h"
#include "residency.h"

namespace softmetal::objc {
namespace {

constexpr long kLibraryInternal = 2, kCompileFailure = 3;
constexpr const char *kLibraryDomain = "MTLLibraryErrorDomain";

size_t pageSize() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

bool lengthAllowed(const char *method, unsigned long length) {
  if (length > 0 && length <= kMaxBufferLength) return true;
  reportMisuse(std::string(method) + ": length " + std::to_string(length) + " is not between 1 and maxBufferLength");
  return false;
}

}  // namespace

ClassPair Device::objc{"MTLDevice", rootClass(), Storage::Counted, &Device::define, destroy<Device>};

Device::Device() : Object(objc), options_(configuration()), state_(sm_device_create(&options_.execution)), losses_(losses()) {}

Device::~Device() { sm_device_destroy(state_); }

uint64_t Device::recommendedMaxWorkingSetSize() const {
  if (options_.memory != 0) return options_.memory;
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * pageSize() / 4 * 3;
}

bool Device::supportsFamily(long family) const {
  constexpr long apple1 = 1001, apple7 = 1007, mac2 = 2002, common1 = 3001, common3 = 3003, metal3 = 5001;
  return (family >= apple1 && family <= apple7) || family == mac2 || (family >= common1 && family <= common3) || family == metal3;
}

bool Device::reserve(uint64_t bytes) {
  if (isLost()) return false;
  const uint64_t before = allocated_.fetch_add(bytes);
  if (options_.memory == 0 || before + bytes <= options_.memory) return true;
  allocated_ -= bytes;
  return false;
}

void Device::giveBack(uint64_t bytes) { allocated_ -= bytes; }

Ref<CommandQueue> Device::newCommandQueue() { return newCommandQueueWithCount(64); }

Ref<CommandQueue> Device::newCommandQueueWithCount(unsigned long max_command_buffers) {
  if (max_command_buffers == 0) {
    reportMisuse("newCommandQueueWithMaxCommandBufferCount: the count is 0");
    return nullptr;
  }
  return isLost() ? nullptr : make<CommandQueue>(*this, max_command_buffers);
}

Ref<Buffer> Device::newBuffer(unsigned long length, unsigned long options) {
  if (!lengthAllowed("newBufferWithLength:options:", length) || !reserve(length)) return nullptr;
  sm_buffer *memory = sm_buffer_create(state_, length);
  if (memory != nullptr) return make<Buffer>(*this, memory, options, false, nullptr);
  giveBack(length);
  return nullptr;
}

Ref<Buffer> Device::newBufferWithBytes(const void *bytes, unsigned long length, unsigned long options) {
  if (bytes == nullptr) {
    reportMisuse("newBufferWithBytes:length:options: the pointer is null");
    return nullptr;
  }
  auto buffer = newBuffer(length, options);
  if (buffer) memcpy(buffer->contents(), bytes, length);
  return buffer;
}

Ref<Buffer> Device::newBufferWithoutCopy(void *bytes, unsigned long length, unsigned long options, void *deallocator) {
  constexpr const char *method = "newBufferWithBytesNoCopy:length:options:deallocator:";
  if (!lengthAllowed(method, length)) return nullptr;
  if (bytes == nullptr || reinterpret_cast<uintptr_t>(bytes) % pageSize() != 0 || length % pageSize() != 0) {
    reportMisuse(std::string(method) + " address and length have to be multiples of the page size, " + std::to_string(pageSize()));
    return nullptr;
  }
  sm_buffer *memory = isLost() ? nullptr : sm_buffer_wrap(state_, bytes, length);
  return memory == nullptr ? nullptr : make<Buffer>(*this, memory, options, true, deallocator);
}

Ref<Library> Device::newLibrary(void *source, CompileOptions *options, void *error) {
  const auto failed = [&](long code, const std::string &why) {
    setError(error, makeError(kLibraryDomain, code, why));
    return Ref<Library>();
  };
  if (source == nullptr) {
    reportMisuse("newLibraryWithSource:options:error: the source is nil");
    return nullptr;
  }
  if (isLost()) return failed(kLibraryInternal, "the device is lost");
  CompileRequest request{text(source), kSourceName, {}, options_.check != 0};
  if (options != nullptr) {
    request.define = options->definitions();
    request.version = options->metalVersion();
  }
  const Compiled compiled = compile(request);
  if (compiled.library.empty()) return failed(kCompileFailure, compiled.log);
  char why[SM_ERROR_BYTES];
  sm_library *library = sm_library_load(compiled.library.c_str(), why);
  if (library == nullptr) return failed(kLibraryInternal, why);
  ++counters().libraries;
  return make<Library>(*this, library);
}

Ref<Pipeline> Device::newPipeline(Function *function, void *error) {
  if (function == nullptr) {
    reportMisuse("newComputePipelineStateWithFunction:error: the function is nil");
    return nullptr;
  }
  char why[SM_ERROR_BYTES] = "the device is lost";
  sm_pipeline *pipeline = isLost() ? nullptr : function->makePipeline(why);
  if (pipeline != nullptr) return make<Pipeline>(*this, pipeline, function->label());
  setError(error, makeError(kLibraryDomain, kLibraryInternal, why));
  return nullptr;
}

Ref<ResidencySet> Device::newResidencySet(ResidencySetDescriptor *descriptor, void *) {
  if (descriptor == nullptr) {
    reportMisuse("newResidencySetWithDescriptor:error: the descriptor is nil");
    return nullptr;
  }
  return isLost() ? nullptr : make<ResidencySet>(*this, descriptor->label());
}

void Device::define(Methods &methods, Methods &) {
  methods.add<&Device::name>("name");
  methods.add<&Device::registryId>("registryID");
  methods.add<&Device::maxThreadsPerThreadgroup>("maxThreadsPerThreadgroup");
  methods.add<&Device::no>("isLowPower");
  methods.add<&Device::yes>("isHeadless");
  methods.add<&Device::no>("isRemovable");
  methods.add<&Device::yes>("hasUnifiedMemory");
  methods.add<&Device::recommendedMaxWorkingSetSize>("recommendedMaxWorkingSetSize");
  methods.add<&Device::currentAllocatedSize>("currentAllocatedSize");
  methods.add<&Device::maxThreadgroupMemoryLength>("maxThreadgroupMemoryLength");
  methods.add<&Device::maxBufferLength>("maxBufferLength");
  methods.add<&Device::supportsFamily>("supportsFamily:");
  methods.add<&Device::newCommandQueue>("newCommandQueue");
  methods.add<&Device::newCommandQueueWithCount>("newCommandQueueWithMaxCommandBufferCount:");
  methods.add<&Device::newBuffer>("newBufferWithLength:options:");
  methods.add<&Device::newBufferWithBytes>("newBufferWithBytes:length:options:");
  methods.add<&Device::newBufferWithoutCopy>("newBufferWithBytesNoCopy:length:options:deallocator:");
  methods.add<&Device::newLibrary>("newLibraryWithSource:options:error:");
  methods.add<&Device::newPipeline>("newComputePipelineStateWithFunction:error:");
  methods.add<&Device::newResidencySet>("newResidencySetWithDescriptor:error:");
}

}  // namespace softmetal::objc

extern "C" void *MTLCreateSystemDefaultDevice() { return softmetal::objc::make<softmetal::objc::Device>().detach(); }
