#include "tests/simulation/shrink.h"

#include <algorithm>
#include <functional>

#include "tests/simulation/isolated.h"

namespace reeve::sim {
namespace {

class Shrinker {
 public:
  Shrinker(SimConfig config, const std::string& broken)
      : best_(std::move(config)), wanted_(broken.substr(0, broken.find('('))) {}

  SimConfig Run() {
    ShrinkFaults();
    for (bool better = true; better;) {
      better = false;
      for (size_t i = 0; i < best_.jobs.size(); ++i) {
        better |= Try([i](SimConfig& c) {
          // Kept in place: a job's key names its plan by position.
          c.jobs[i].count = std::max(1u, c.jobs[i].count / 2);
        });
        better |= Try([i](SimConfig& c) { c.jobs[i].fail_permille = 0; });
        better |= Try([i](SimConfig& c) { c.jobs[i].cancel_at = 0; });
        better |= Try([i](SimConfig& c) { c.jobs[i].poison = {}; });
        better |= Try([i](SimConfig& c) { c.jobs[i].at_most_once = false; });
        better |= Try([i](SimConfig& c) { c.jobs[i].exclusive = false; });
        better |= Try([i](SimConfig& c) { c.jobs[i].ephemeral = false; });
        better |= Try([i](SimConfig& c) {
          const bool scheduled = c.jobs[i].asks.scheduled;
          c.jobs[i].asks = {};
          c.jobs[i].asks.scheduled = scheduled;
        });
      }
      better |= Try([](SimConfig& c) {
        if (c.jobs.size() > 1 && c.schedules.empty()) c.jobs.pop_back();
      });
      better |= Try([](SimConfig& c) { c.schedules.clear(); });
      better |= Try([](SimConfig& c) { c.queues.clear(); });
      better |= Try([](SimConfig& c) {
        if (c.workers > 1) --c.workers;
        for (Fault& fault : c.faults) fault.who %= c.workers;
      });
      better |= Try([](SimConfig& c) { c.slots = 1; });
      better |= Try([](SimConfig& c) { c.loss_permille = 0; });
      better |= Try([](SimConfig& c) { c.duplicate_permille = 0; });
      better |= Try([](SimConfig& c) { c.reply_loss_permille = 0; });
      better |= Try([](SimConfig& c) { c.reorder = false; });
      better |= Try([](SimConfig& c) { c.delay_max = c.delay_min; });
    }
    ShrinkFaults();
    return best_;
  }

 private:
  static bool Same(const SimConfig& a, const SimConfig& b) { return Describe(a) == Describe(b); }

  bool Try(const std::function<void(SimConfig&)>& change) {
    SimConfig smaller = best_;
    change(smaller);
    if (Same(smaller, best_) || !Fails(smaller)) return false;
    best_ = std::move(smaller);
    return true;
  }

  bool Fails(const SimConfig& config) {
    if (++runs_ > 600) return false;
    return RunIsolated(config).broken.rfind(wanted_, 0) == 0;
  }

  // ddmin: ever smaller parts of the list are left out.
  void ShrinkFaults() {
    for (size_t part = std::max<size_t>(1, best_.faults.size() / 2);; part = part / 2) {
      for (size_t from = 0; from < best_.faults.size();) {
        const bool smaller = Try([from, part](SimConfig& c) {
          const size_t to = std::min(c.faults.size(), from + part);
          c.faults.erase(c.faults.begin() + static_cast<long>(from),
                         c.faults.begin() + static_cast<long>(to));
        });
        if (!smaller) from += part;
      }
      if (part <= 1) return;
    }
  }

  SimConfig best_;
  const std::string wanted_;
  int runs_ = 0;
};

}  // namespace

SimConfig Shrink(SimConfig config, const std::string& broken) {
  return Shrinker(std::move(config), broken).Run();
}

}  // namespace reeve::sim
