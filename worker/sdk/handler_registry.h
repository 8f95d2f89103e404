// Handlers by name, and the lane each runs on. Filled before the worker starts, then read only.

#ifndef REEVE_WORKER_SDK_HANDLER_REGISTRY_H_
#define REEVE_WORKER_SDK_HANDLER_REGISTRY_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "worker/sdk/async.h"
#include "worker/sdk/worker.h"

namespace reeve {

class HandlerRegistry {
 public:
  void Add(std::string name, ThreadHandler handler, HandlerOptions options = {}) {
    async_.erase(name);
    options_[name] = options;
    thread_[std::move(name)] = std::move(handler);
  }

  void AddAsync(std::string name, AsyncHandler handler) {
    thread_.erase(name);
    options_.erase(name);
    async_[std::move(name)] = std::move(handler);
  }

  bool has(const std::string& name) const {
    return thread_.contains(name) || async_.contains(name);
  }

  // Null if there is none on the async lane.
  const AsyncHandler* FindAsync(std::string_view name) const {
    const auto it = async_.find(name);
    return it == async_.end() ? nullptr : &it->second;
  }
  std::vector<std::string> async_names() const {
    std::vector<std::string> names;
    for (const auto& [name, handler] : async_) names.push_back(name);
    return names;
  }

  // Null if there is none on the thread lane.
  const ThreadHandler* Find(std::string_view name) const {
    const auto it = thread_.find(name);
    return it == thread_.end() ? nullptr : &it->second;
  }
  // REQUIRES: `name` was added.
  const HandlerOptions& options(const std::string& name) const { return options_.at(name); }
  HandlerOptions* mutable_options(const std::string& name) { return &options_.at(name); }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, handler] : thread_) names.push_back(name);
    return names;
  }

 private:
  std::map<std::string, ThreadHandler, std::less<>> thread_;
  std::map<std::string, HandlerOptions> options_;
  std::map<std::string, AsyncHandler, std::less<>> async_;
};

}  // namespace reeve

#endif  // REEVE_WORKER_SDK_HANDLER_REGISTRY_H_
