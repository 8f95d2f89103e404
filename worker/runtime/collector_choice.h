// Where a worker sends its results: to its relay, or past it.
//
// A worker that was told to use a relay does so as long as that answers. Results that nobody
// acknowledges though the master lives go to the master's own collector for a while, and then the
// relay is tried again. Both may get the same batch: its number tells them apart.
//
// Pure. Thread: none; the worker loop's.

#ifndef REEVE_WORKER_RUNTIME_COLLECTOR_CHOICE_H_
#define REEVE_WORKER_RUNTIME_COLLECTOR_CHOICE_H_

#include <string>
#include <utility>

#include "absl/time/time.h"

namespace reeve {

class CollectorChoice {
 public:
  struct Options {
    // Without any acknowledgement for so long the relay is passed by: more than one repetition.
    absl::Duration patience = absl::Seconds(15);
    // Without a connection for so long, likewise.
    absl::Duration unconnected = absl::Seconds(5);
    // And for how long it is.
    absl::Duration away = absl::Seconds(60);
    // The master lives if it was heard within.
    absl::Duration master_silent = absl::Seconds(3);
  };

  // `relay`: an endpoint; empty: none.
  CollectorChoice(std::string relay, Options options)
      : relay_(std::move(relay)), options_(options) {}

  // A master took the worker in, perhaps another than before: the relay is at no fault so far.
  void Welcomed() { waiting_since_ = untaken_since_ = absl::InfiniteDuration(); }
  // Anything came on the dispatch connection.
  void MasterHeard(absl::Duration now) { master_heard_ = now; }
  // Results were sent, or the socket did not take them.
  void Sent(absl::Duration now, bool taken);
  void Acknowledged() { waiting_since_ = absl::InfiniteDuration(); }

  // The endpoint for what is sent now; `masters` is the one that the master named.
  const std::string& Choose(absl::Duration now, const std::string& masters);

 private:
  const std::string relay_;
  const Options options_;
  absl::Duration master_heard_ = -absl::InfiniteDuration();
  // Since when nothing was acknowledged, or nothing taken, that was sent. Infinite: all is well.
  absl::Duration waiting_since_ = absl::InfiniteDuration();
  absl::Duration untaken_since_ = absl::InfiniteDuration();
  absl::Duration away_until_ = -absl::InfiniteDuration();
};

}  // namespace reeve

#endif  // REEVE_WORKER_RUNTIME_COLLECTOR_CHOICE_H_
