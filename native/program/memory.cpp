#include "memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>

namespace rlx {
namespace {

std::mutex registry_mutex;
std::map<const uint8_t*, std::weak_ptr<Memory>>& registry() {
  static std::map<const uint8_t*, std::weak_ptr<Memory>> blocks;
  return blocks;
}

// Blocks of size 0 need an address too.
alignas(64) uint8_t nothing[64];

}  // namespace

void Memory::enlist(const std::shared_ptr<Memory>& block) {
  std::lock_guard<std::mutex> lock(registry_mutex);
  registry()[block->data_] = block;
  block->listed_ = true;
}

void Memory::delist() {
  std::lock_guard<std::mutex> lock(registry_mutex);
  if (listed_) registry().erase(data_);
  listed_ = false;
}

std::shared_ptr<Memory> Memory::adopt(void* data, size_t size, size_t mapped) {
  std::shared_ptr<Memory> block(new Memory(static_cast<uint8_t*>(data), size, mapped));
  if (mapped > 0) enlist(block);
  return block;
}

std::shared_ptr<Memory> Memory::allocate(size_t bytes) {
  if (bytes == 0) return adopt(nothing, 0, 0);
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? nullptr : adopt(p, bytes, bytes);
}

std::shared_ptr<Memory> Memory::map_file(const std::string& path, std::string& error) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    error = std::strerror(errno);
    return nullptr;
  }
  struct stat info;
  void* p = MAP_FAILED;
  size_t size = 0;
  if (fstat(fd, &info) != 0) error = std::strerror(errno);
  else if (!S_ISREG(info.st_mode)) error = "not a regular file";
  else if (info.st_size == 0) {
    close(fd);
    return adopt(nothing, 0, 0);
  } else {
    size = static_cast<size_t>(info.st_size);
    p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) error = std::strerror(errno);
  }
  if (p == MAP_FAILED) {
    close(fd);
    return nullptr;
  }
  auto block = adopt(p, size, size);
  block->file_ = fd;
  return block;
}

uint8_t* Memory::read_only() {
  if (read_only_ || file_ < 0) return read_only_;
  void* p = mmap(nullptr, mapped_, PROT_READ, MAP_SHARED, file_, 0);
  if (p != MAP_FAILED) read_only_ = static_cast<uint8_t*>(p);
  return read_only_;
}

std::shared_ptr<Memory> Memory::find(const void* address) {
  const auto* p = static_cast<const uint8_t*>(address);
  std::lock_guard<std::mutex> lock(registry_mutex);
  auto it = registry().upper_bound(p);
  if (it == registry().begin()) return nullptr;
  auto block = (--it)->second.lock();
  return block && p < block->data_ + block->size_ ? block : nullptr;
}

Memory::~Memory() {
  delist();
  if (mapped_ > 0) munmap(data_, mapped_);
  if (read_only_) munmap(read_only_, mapped_);
  if (file_ >= 0) close(file_);
}

}  // namespace rlx
