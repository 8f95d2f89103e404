// plugin.h for C++: handlers as functions that return their result or throw.
//
//   std::string Shout(reeve::plugin::Task& task, std::string_view input);
//   REEVE_PLUGIN(plugin) { plugin.Handle("shout", Shout); }
//
// Header only, standard library only.

#ifndef REEVE_WORKER_SDK_PLUGIN_HPP_
#define REEVE_WORKER_SDK_PLUGIN_HPP_

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "worker/sdk/plugin.h"

namespace reeve::plugin {

// Thrown by a handler: the input is bad, and another attempt would not help. Any other exception is
// a failure that another attempt may cure.
class BadInput : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Thrown by a handler: no other attempt would do better, though the input is not to blame.
class Permanent : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Thrown by a handler: try again after so long, and do not count this attempt.
class AgainAfter : public std::runtime_error {
 public:
  AgainAfter(uint64_t milliseconds, const std::string& why)
      : std::runtime_error(why), milliseconds_(milliseconds) {}
  uint64_t milliseconds() const { return milliseconds_; }

 private:
  const uint64_t milliseconds_;
};

// The attempt that a handler runs. See plugin.h for what each means.
class Task {
 public:
  Task(const reeve_host* host, reeve_task* task) : host_(*host), task_(task) {}

  uint64_t job() const { return host_.job(task_); }
  uint32_t index() const { return host_.index(task_); }
  uint32_t attempt() const { return host_.attempt(task_); }
  std::string_view param(const std::string& name) const {
    size_t size = 0;
    const char* value = host_.param(task_, name.c_str(), &size);
    return {value, size};
  }
  int64_t deadline() const { return host_.deadline(task_); }
  bool cancelled() const { return host_.cancelled(task_) != 0; }
  // Returns: false if cancelled.
  bool Sleep(uint64_t microseconds) { return host_.sleep(task_, microseconds) == 0; }
  // Throws: std::runtime_error with the reason.
  void AddInput(const unsigned char (&key)[16], std::string_view input) {
    if (host_.add_input(task_, key, input.data(), input.size()) != 0)
      throw std::runtime_error(host_.last_error(task_));
  }
  // Throws: std::runtime_error with the reason.
  void Count(const std::string& counter, int64_t by = 1) {
    if (host_.count(task_, counter.c_str(), by) != 0)
      throw std::runtime_error(host_.last_error(task_));
  }
  void Log(std::string_view line) { host_.log(task_, line.data(), line.size()); }
  void Progress(double done, const std::string& note = {}) {
    host_.progress(task_, done, note.c_str());
  }
  // Throws: std::runtime_error with the reason.
  std::string ScratchFolder() {
    const char* path = host_.scratch_folder(task_);
    if (path == nullptr) throw std::runtime_error(host_.last_error(task_));
    return path;
  }

  // What follows a worker of an older version does not know: it leaves nothing and has nothing.
  std::string_view details() const {
    if (!Has(offsetof(reeve_host, details))) return {};
    size_t size = 0;
    const char* left = host_.details(task_, &size);
    return {left, size};
  }
  // Throws: std::runtime_error with the reason.
  void KeepDetails(std::string_view details) {
    if (!Has(offsetof(reeve_host, keep_details))) return;
    if (host_.keep_details(task_, details.data(), details.size()) != 0)
      throw std::runtime_error(host_.last_error(task_));
  }
  std::optional<std::string_view> predecessor_result(const std::string& name,
                                                     uint32_t index) const {
    if (!Has(offsetof(reeve_host, predecessor_result))) return std::nullopt;
    size_t size = 0;
    const char* result = host_.predecessor_result(task_, name.c_str(), index, &size);
    if (result == nullptr) return std::nullopt;
    return std::string_view(result, size);
  }
  bool discarded() const {
    return Has(offsetof(reeve_host, discarded)) ? host_.discarded(task_) != 0 : cancelled();
  }

 private:
  bool Has(size_t offset) const { return host_.size > offset; }

  const reeve_host& host_;
  reeve_task* const task_;
};

using Handler = std::function<std::string(Task& task, std::string_view input)>;

inline void RunHandler(void* state, const reeve_host* host, reeve_task* task, const char* input,
                       size_t size) {
  const auto fail = [&](int kind, std::string_view why) {
    host->fail(task, kind, why.data(), why.size());
  };
  try {
    Task context(host, task);
    const std::string output = (*static_cast<Handler*>(state))(context, {input, size});
    host->succeed(task, output.data(), output.size());
  } catch (const BadInput& error) {
    fail(REEVE_BAD_INPUT, error.what());
  } catch (const Permanent& error) {
    fail(REEVE_PERMANENT, error.what());
  } catch (const AgainAfter& error) {
    const std::string_view why = error.what();
    if (host->size > offsetof(reeve_host, again_after)) {
      host->again_after(task, error.milliseconds(), why.data(), why.size());
    } else {
      fail(REEVE_AGAIN_MAY_HELP, why);
    }
  } catch (const std::exception& error) {
    fail(REEVE_AGAIN_MAY_HELP, error.what());
  } catch (...) {
    fail(REEVE_AGAIN_MAY_HELP, "the handler threw something that is no std::exception");
  }
}

class Plugin {
 public:
  Plugin(const reeve_host* host, reeve_registrar* registrar) : host_(host), registrar_(registrar) {}

  // Throws: std::invalid_argument  the name is none.
  void Handle(const std::string& name, Handler handler, bool isolated = false) {
    // Never deleted: it lives as long as the worker.
    const reeve_handler entry = {sizeof(reeve_handler), name.c_str(), RunHandler,
                                 new Handler(std::move(handler)), isolated ? 1u : 0u};
    if (host_->add_handler(registrar_, &entry) != 0)
      throw std::invalid_argument("no name for a handler: " + name);
  }

 private:
  const reeve_host* const host_;
  reeve_registrar* const registrar_;
};

}  // namespace reeve::plugin

// Defines what a plug-in exports; the body registers its handlers with `plugin`.
#define REEVE_PLUGIN(plugin)                                                          \
  static void reeve_register_handlers(reeve::plugin::Plugin& plugin);                 \
  extern "C" __attribute__((visibility("default"))) uint32_t reeve_plugin_abi(void) { \
    return REEVE_PLUGIN_ABI;                                                          \
  }                                                                                   \
  extern "C" __attribute__((visibility("default"))) int reeve_plugin_register(        \
      const reeve_host* host, reeve_registrar* registrar) {                           \
    try {                                                                             \
      reeve::plugin::Plugin mine(host, registrar);                                    \
      reeve_register_handlers(mine);                                                  \
      return 0;                                                                       \
    } catch (...) {                                                                   \
      return 1;                                                                       \
    }                                                                                 \
  }                                                                                   \
  static void reeve_register_handlers(reeve::plugin::Plugin& plugin)

#endif  // REEVE_WORKER_SDK_PLUGIN_HPP_
