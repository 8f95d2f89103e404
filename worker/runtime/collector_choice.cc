#include "worker/runtime/collector_choice.h"

#include <algorithm>

namespace reeve {

void CollectorChoice::Sent(absl::Duration now, bool taken) {
  if (taken) {
    untaken_since_ = absl::InfiniteDuration();
    waiting_since_ = std::min(waiting_since_, now);
  } else {
    untaken_since_ = std::min(untaken_since_, now);
  }
}

const std::string& CollectorChoice::Choose(absl::Duration now, const std::string& masters) {
  if (relay_.empty() || now < away_until_) return masters;
  const bool unheard =
      now - waiting_since_ >= options_.patience || now - untaken_since_ >= options_.unconnected;
  if (!unheard) return relay_;
  waiting_since_ = untaken_since_ = absl::InfiniteDuration();
  // Nobody can acknowledge anything while the master is away.
  if (now - master_heard_ > options_.master_silent) return relay_;
  away_until_ = now + options_.away;
  return masters;
}

}  // namespace reeve
