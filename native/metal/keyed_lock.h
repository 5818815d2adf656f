// Locks by key: who makes the same thing waits for each other, who makes another one does not.
#pragma once
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>

namespace rlx {

class KeyedLock {
 public:
  class Hold {
   public:
    Hold(KeyedLock& lock, const std::string& key) : lock_(lock) {
      std::unique_lock<std::mutex> guard(lock_.mutex_);
      lock_.released_.wait(guard, [&] { return lock_.held_.count(key) == 0; });
      place_ = lock_.held_.insert(key).first;
    }
    ~Hold() {
      const std::lock_guard<std::mutex> guard(lock_.mutex_);
      lock_.held_.erase(place_);
      lock_.released_.notify_all();
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    KeyedLock& lock_;
    std::set<std::string>::iterator place_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable released_;
  std::set<std::string> held_;
};

}  // namespace rlx
