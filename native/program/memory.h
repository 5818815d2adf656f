// Memory that native code owns and JavaScript may see: anonymous pages (zero until touched, at no cost) and mapped files.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace rlx {

struct Span {
  uint8_t* data = nullptr;
  size_t bytes = 0;
};

class Memory {
 public:
  // Zeroed pages; NULL when the system has none left.
  static std::shared_ptr<Memory> allocate(size_t bytes);
  // A file, read only (private pages: a stray write stays in this process). NULL on failure, with the reason in `error`.
  static std::shared_ptr<Memory> map_file(const std::string& path, std::string& error);
  // The block that holds `address`, if it is one of these: a run or a program keeps the blocks that it reads alive.
  static std::shared_ptr<Memory> find(const void* address);

  virtual ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  // The pages of a mapped file once more, shared and read only: for a device, which would get copies of pages that may be written to. NULL: this
  // is no file, or there is no room. On one thread.
  uint8_t* read_only();

 protected:
  // `mapped`: bytes to unmap at the end.
  Memory(uint8_t* data, size_t size, size_t mapped) : data_(data), size_(size), mapped_(mapped) {}
  // From `enlist` on `find` knows the block. `delist` comes before its pages go: their address may be given to another block at once.
  static void enlist(const std::shared_ptr<Memory>& block);
  void delist();

 private:
  static std::shared_ptr<Memory> adopt(void* data, size_t size, size_t mapped);

  uint8_t* data_;
  size_t size_;
  size_t mapped_;
  int file_ = -1;
  uint8_t* read_only_ = nullptr;
  bool listed_ = false;
};

}  // namespace rlx
