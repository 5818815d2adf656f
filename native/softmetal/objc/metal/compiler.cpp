#include "compiler.h"

#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <unistd.h>

#include "json.h"

extern char **environ;

namespace softmetal::objc {
namespace {

#if defined(__x86_64__)
constexpr const char *kArchitecture = "x64";
#else
constexpr const char *kArchitecture = "arm64";
#endif

std::string toolPath() {
  const char *given = getenv("SOFTMETAL_TOOL");
  if (given != nullptr && *given != 0) return given;
  // A device for tests finds it in the repository that it was built from.
  const std::string file = __FILE__, here = "objc/metal/compiler.cpp";
  return file.substr(0, file.size() - here.size()) + "tool/main.mjs";
}

// This program, if it is Node itself.
std::string nodePath() {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  const std::string self(path, length > 0 ? static_cast<size_t>(length) : 0);
  return self.size() > 5 && self.compare(self.size() - 5, 5, "/node") == 0 ? self : "node";
}

// Talks to one process of the tool. That ends when its input does: with this process, however this one ends.
class Server {
 public:
  Server() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const std::string node = nodePath(), tool = toolPath();
    const char *const arguments[] = {node.c_str(), tool.c_str(), "--serve", nullptr};
    pid_t child = 0;
    const int failed = posix_spawnp(&child, node.c_str(), &actions, nullptr, const_cast<char *const *>(arguments), environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed != 0) {
      close(ends[0]);
      return;
    }
    socket_ = ends[0];
    std::thread([this] { read(); }).detach();
  }

  bool hasEnded() {
    std::lock_guard lock(mutex_);
    return socket_ < 0 || ended_;
  }

  Compiled compile(const CompileRequest &request) {
    std::unique_lock lock(mutex_);
    const uint64_t id = ++requests_;
    if (socket_ < 0 || ended_ || !send(line(id, request))) return {"", gone()};
    arrived_.wait(lock, [&] { return ended_ || answers_.count(id) > 0; });
    const auto answer = answers_.find(id);
    if (answer == answers_.end()) return {"", gone()};
    Compiled compiled{answer->second["library"], answer->second["log"]};
    answers_.erase(answer);
    return compiled;
  }

 private:
  static std::string gone() {
    return "the source tool of software Metal (" + toolPath() + ", run by " + nodePath() + ") could not be started, or it has ended";
  }

  static std::string line(uint64_t id, const CompileRequest &request) {
    std::string define;
    for (const std::string &each : request.define) define += (define.empty() ? "" : ",") + quoted(each);
    std::string text;
    const auto member = [&](const char *name, const std::string &value) { text += (text.empty() ? "{" : ",") + quoted(name) + ":" + value; };
    member("id", std::to_string(id));
    member("name", quoted(request.name));
    member("check", request.check ? "true" : "false");
    member("architecture", quoted(kArchitecture));
    member("version", std::to_string(request.version));
    member("define", "[" + define + "]");
    member("source", quoted(request.source));
    return text + "}\n";
  }

  bool send(const std::string &text) {
    for (size_t sent = 0; sent < text.size();) {
      const ssize_t n = ::send(socket_, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (n < 0 && errno != EINTR) return false;
      if (n > 0) sent += static_cast<size_t>(n);
    }
    return true;
  }

  void read() {
    std::string pending;
    char chunk[65536];
    for (ssize_t n; (n = ::read(socket_, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR);) {
      if (n > 0) pending.append(chunk, static_cast<size_t>(n));
      for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
        auto answer = members(pending.substr(0, end));
        std::lock_guard lock(mutex_);
        answers_[strtoull(answer["id"].c_str(), nullptr, 10)] = std::move(answer);
        arrived_.notify_all();
      }
    }
    std::lock_guard lock(mutex_);
    ended_ = true;
    arrived_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<uint64_t, std::map<std::string, std::string>> answers_;
  uint64_t requests_ = 0;
  int socket_ = -1;
  bool ended_ = false;
};

}  // namespace

Compiled compile(const CompileRequest &request) {
  static auto &mutex = *new std::mutex;
  static Server *server = nullptr;  // never destroyed: its thread waits until the process ends
  std::unique_lock lock(mutex);
  if (server == nullptr || server->hasEnded()) server = new Server;
  Server *current = server;
  lock.unlock();
  return current->compile(request);
}

}  // namespace softmetal::objc
