#include "master/runtime/master_loop.h"

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/doorbell.h"
#include "base/error.h"
#include "base/failpoint.h"
#include "base/inbox.h"
#include "base/input_batch.h"
#include "base/log.h"
#include "base/named_thread.h"
#include "base/time_scale.h"
#include "master/dispatch/dispatcher.h"
#include "master/dispatch/key_paths.h"
#include "master/runtime/commit_gate.h"
#include "master/runtime/predecessor_results.h"
#include "master/store/job_record.h"
#include "master/store/reader_thread.h"
#include "master/store/store.h"
#include "master/store/store_thread.h"

namespace reeve {
namespace {

constexpr uint64_t kMaxWaitingWrites = 32u << 20;
// Shares per batch: a flood of one kind does not starve the others.
constexpr size_t kControlShare = 256;
constexpr size_t kResultsShare = 256;
constexpr size_t kApiShare = 1024;
constexpr size_t kBytesShare = 8u << 20;
constexpr absl::Duration kLongestSleep = absl::Milliseconds(500);
// A turn later than this after the one before: the master itself stood still (SIGSTOP, suspended
// host, swapping), and what its workers said meanwhile still waits in the sockets.
constexpr absl::Duration kStoodStill = absl::Seconds(1);
constexpr absl::Duration kDiskEvery = absl::Seconds(1);   // Scaled.
constexpr absl::Duration kProbeEvery = absl::Seconds(1);  // Scaled.
constexpr absl::Duration kStopWithin = absl::Seconds(5);

Now ReadClocks() { return {Monotonic(), absl::Now()}; }

struct QueryWork {
  std::function<void(Scheduler&, const Now&)> read;
  std::function<void()> done;
};

}  // namespace

struct MasterLoop::Impl {
  using Held =
      std::variant<LinkSend, Reply, AckResults, ResultsNotice, JobNotice, std::function<void()>>;

  Parts parts;
  std::unique_ptr<Dispatcher> dispatcher;
  Doorbell doorbell;
  // What workers hand in, in the order in which they did.
  Inbox<std::variant<ResultsArrived, OutputArrived>> results{{.count = 4096, .bytes = 32u << 20},
                                                             &doorbell};
  Inbox<Event> api{{.count = 65'536, .bytes = 64u << 20}, &doorbell};
  Inbox<Event> internal{{.count = SIZE_MAX, .bytes = SIZE_MAX}, &doorbell};
  Inbox<QueryWork> queries{{.count = 65'536, .bytes = SIZE_MAX}, &doorbell};
  std::atomic<bool> stopping{false};
  std::thread thread;

  // Loop thread only.
  std::array<uint64_t, kStoreCount> submitted{};
  CommitGate<Held> held;
  std::vector<Event> own;           // Events the loop itself found: to be stepped next.
  std::vector<LoadResults> unread;  // The reader had no room for them.
  absl::Duration next_probe = absl::ZeroDuration();
  absl::Duration next_disk = absl::ZeroDuration();
  bool disk_low = false;
  absl::Duration last_turn = absl::InfiniteDuration();
  absl::Duration stood_still = absl::ZeroDuration();

  Now TurnClocks();
  void Take(OutputArrived arrived);
  void Run(std::promise<absl::Status>* started);
  bool Turn();
  void LookAtDisk(const Now& now);
  void StepAll(const Now& now, std::vector<Event> events, bool* did);
  void NoteKeyPaths(const Effects& effects);
  void Carry(Effects effects);
  void Release(After after, Held what);
  void Do(Held& what);
  void ReleaseCommitted(StoreKind kind, uint64_t number);
  void Load(const LoadInputs& load);
  void Load(const LoadResults& load);
  int SleepMs() const;
};

void MasterLoop::Impl::Do(Held& what) {
  if (auto* send = std::get_if<LinkSend>(&what)) {
    dispatcher->Send(*send, &own);
  } else if (auto* reply = std::get_if<Reply>(&what)) {
    parts.api->OnReply(std::move(*reply));
    Failpoint("loop.replied");
  } else if (auto* ack = std::get_if<AckResults>(&what)) {
    parts.acknowledge(std::move(*ack));
    Failpoint("loop.acknowledged");
  } else if (auto* notice = std::get_if<ResultsNotice>(&what)) {
    parts.api->OnResults(std::move(*notice));
  } else if (auto* job = std::get_if<JobNotice>(&what)) {
    parts.api->OnJob(std::move(*job));
  } else {
    std::get<std::function<void()>>(what)();
  }
}

void MasterLoop::Impl::Release(After after, Held what) {
  held.Pass(after, std::move(what), [this](Held& ready) { Do(ready); });
}

void MasterLoop::Impl::ReleaseCommitted(StoreKind kind, uint64_t number) {
  held.OnCommitted(kind, number, [this](Held& ready) { Do(ready); });
}

void MasterLoop::Impl::Load(const LoadInputs& load) {
  Impl* loop = this;
  const bool posted = parts.reader->Post(
      load.store,
      [loop, load](StoreReader& reader) {
        auto bytes = reader.ReadInputs(load.job, load.first);
        auto batch = bytes.ok() ? InputBatch::Parse(std::move(*bytes)) : bytes.status();
        if (batch.ok()) {
          loop->internal.TryPush(InputsLoaded{load.job, load.first, std::move(*batch)});
          return;
        }
        REEVE_LOG_ERROR("inputs could not be read job={} first={} why={}", load.job.value,
                        load.first, batch.status().ToString());
        if (absl::IsInternal(batch.status())) loop->parts.on_fault(batch.status());
        loop->internal.TryPush(InputsLoaded{load.job, load.first, nullptr, true});
      },
      true);
  if (!posted) own.push_back(InputsLoaded{load.job, load.first, nullptr});  // Asked for again.
}

void MasterLoop::Impl::Load(const LoadResults& load) {
  Impl* loop = this;
  const auto results = std::make_shared<PredecessorResults>(load);
  const bool posted = parts.reader->Post(
      StoreKind::kDurable,
      [loop, results](StoreReader& reader) {
        absl::Status fault;
        const bool complete = results->ReadFrom(reader, &fault);
        if (!fault.ok()) loop->parts.on_fault(fault);
        const bool goes_on = !complete && loop->parts.reader->Post(
                                              StoreKind::kMemory,
                                              [loop, results](StoreReader& memory) {
                                                absl::Status none;
                                                results->ReadFrom(memory, &none);
                                                loop->internal.TryPush(results->Finish());
                                              },
                                              true);
        if (!goes_on) loop->internal.TryPush(results->Finish());
      },
      true);
  if (!posted) unread.push_back(load);
}

// Before anything of a job goes out: its first result may bring inputs along.
void MasterLoop::Impl::NoteKeyPaths(const Effects& effects) {
  for (const WriteBatch& batch : effects.writes) {
    for (const Write& write : batch.writes) {
      const auto* put = std::get_if<PutJob>(&write);
      if (put == nullptr || !put->options.accepts_inputs) continue;
      const std::string path = TaskKeyPathOf(put->view.record);
      if (!path.empty()) parts.key_paths->Put(put->view.job, path);
    }
  }
  for (const JobNotice& notice : effects.jobs) {
    if (IsTerminal(notice.view.state)) parts.key_paths->Remove(notice.view.job);
  }
}

// The one place that says durable → reply → send.
void MasterLoop::Impl::Carry(Effects effects) {
  NoteKeyPaths(effects);
  for (WriteBatch& batch : effects.writes) {
    submitted[static_cast<int>(batch.store)] = batch.number;
    if (batch.store == StoreKind::kDurable) {
      parts.durable->Submit(std::move(batch));
      continue;
    }
    const uint64_t number = batch.number;
    (void)parts.memory->Commit({&batch, 1});
    ReleaseCommitted(StoreKind::kMemory, number);
    own.push_back(Committed{StoreKind::kMemory, number});
  }
  for (LinkSend& send : effects.sends) {
    const After after = send.after;
    Release(after, std::move(send));
  }
  for (const Assignment& assignment : effects.assignments) {
    dispatcher->Send(assignment, &own);
    Failpoint("loop.assigned");
  }
  for (const LoadInputs& load : effects.loads) Load(load);
  for (const LoadResults& load : effects.results_wanted) Load(load);
  for (Reply& reply : effects.replies) {
    const After after = reply.after;
    Release(after, std::move(reply));
  }
  for (AckResults& ack : effects.acks) {
    const After after = ack.after;
    Release(after, std::move(ack));
  }
  for (ResultsNotice& notice : effects.results) {
    const After after = notice.after;
    Release(after, std::move(notice));
  }
  for (JobNotice& notice : effects.jobs) {
    const After after = notice.after;
    Release(after, std::move(notice));
  }
}

void MasterLoop::Impl::StepAll(const Now& now, std::vector<Event> events, bool* did) {
  for (Event& event : events) {
    *did = true;
    if (const auto* commit = std::get_if<Committed>(&event); commit != nullptr) {
      ReleaseCommitted(commit->store, commit->number);
    }
    parts.scheduler->Step(now, std::move(event));
  }
}

// The scheduler's clock leaves out the time in which the master stood still: its own silence is not
// that of its workers. Draining the inboxes before looking at leases would not do: the I/O threads
// wake up with the loop and may have nothing to hand over yet.
Now MasterLoop::Impl::TurnClocks() {
  Now now = ReadClocks();
  const absl::Duration late = now.monotonic - last_turn - kStoodStill;
  if (late > absl::ZeroDuration()) stood_still += late;
  last_turn = now.monotonic;
  now.monotonic -= stood_still;
  return now;
}

// Before each batch of calls: a burst between two looks would fill the disk, and what it had put
// into the queue would keep the results behind it waiting for room.
void MasterLoop::Impl::LookAtDisk(const Now& now) {
  next_disk = now.monotonic + Scaled(kDiskEvery);
  const bool was_low = std::exchange(disk_low, parts.disk_is_low(parts.durable->waiting_bytes()));
  if (disk_low != was_low) parts.scheduler->Step(now, DiskLow{disk_low});
}

// Returns: whether there was anything to do.
bool MasterLoop::Impl::Turn() {
  Failpoint("loop.turn");
  bool did = false;
  const Now now = TurnClocks();
  if (parts.on_turn != nullptr) parts.on_turn(now.monotonic);
  for (const LoadResults& load : std::exchange(unread, {})) Load(load);
  StepAll(now, std::exchange(own, {}), &did);
  StepAll(now, internal.Pop(SIZE_MAX), &did);
  std::vector<Event> control;
  did = dispatcher->Receive(kControlShare, &control) || did;
  if (now.monotonic >= next_probe) {
    next_probe = now.monotonic + Scaled(kProbeEvery);
    dispatcher->Probe(last_turn, &control);
  }
  StepAll(now, std::move(control), &did);
  if (parts.durable->waiting_bytes() < kMaxWaitingWrites) {
    for (auto& arrived : results.Pop(kResultsShare, kBytesShare)) {
      did = true;
      if (auto* output = std::get_if<OutputArrived>(&arrived)) {
        Take(std::move(*output));
      } else {
        parts.scheduler->Step(now, std::get<ResultsArrived>(std::move(arrived)));
      }
    }
    std::vector<Event> calls = api.Pop(kApiShare, kBytesShare);
    if (!calls.empty() || now.monotonic >= next_disk) LookAtDisk(now);
    StepAll(now, std::move(calls), &did);
  }
  Carry(parts.scheduler->TakeEffects(now));
  for (QueryWork& query : queries.Pop(kApiShare)) {
    did = true;
    query.read(*parts.scheduler, now);
    if (query.done) {
      Release({StoreKind::kDurable, submitted[static_cast<int>(StoreKind::kDurable)]},
              std::move(query.done));
    }
  }
  return did || !own.empty();
}

// A worker speaks for the tasks that it holds, and for no others.
void MasterLoop::Impl::Take(OutputArrived arrived) {
  for (auto& [job, logs] : arrived.logs) {
    std::erase_if(logs, [&, id = job](const StoredLog& log) {
      return !parts.scheduler->IsHeldBy(arrived.session, id, log.index);
    });
    if (!logs.empty()) parts.output(job, std::move(logs));
  }
}

int MasterLoop::Impl::SleepMs() const {
  Now now = ReadClocks();
  now.monotonic -= stood_still;
  absl::Duration sleep = std::min(kLongestSleep, parts.scheduler->NextDeadline() - now.monotonic);
  return std::max<int>(
      0, static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(sleep, absl::Milliseconds(1)))));
}

void MasterLoop::Impl::Run(std::promise<absl::Status>* started) {
  auto made = parts.make_dispatcher();
  if (!made.ok()) {
    started->set_value(std::move(made).status());
    return;
  }
  dispatcher = std::move(*made);
  started->set_value(absl::OkStatus());
  absl::Duration give_up = absl::InfiniteDuration();
  for (;;) {
    while (Turn()) {
    }
    if (stopping.load()) {
      const absl::Duration now = ReadClocks().monotonic;
      if (give_up == absl::InfiniteDuration()) {
        give_up = now + kStopWithin;
        parts.scheduler->Step(TurnClocks(), DrainMaster{});
      }
      if (held.empty(StoreKind::kDurable) || now >= give_up) break;
    }
    pollfd fds[2] = {{doorbell.fd(), POLLIN, 0}, {dispatcher->fd(), POLLIN, 0}};
    poll(fds, 2, stopping.load() ? 10 : SleepMs());
    doorbell.Answer();
  }
  dispatcher.reset();
}

MasterLoop::MasterLoop() : impl_(std::make_unique<Impl>()) {}

MasterLoop::~MasterLoop() { Stop(); }

absl::Status MasterLoop::Start(Parts parts) {
  impl_->parts = std::move(parts);
  std::promise<absl::Status> started;
  impl_->thread = NamedThread("loop", [this, &started] { impl_->Run(&started); });
  return started.get_future().get();
}

void MasterLoop::Stop() {
  impl_->stopping.store(true);
  impl_->results.Close();
  impl_->api.Close();
  impl_->queries.Close();
  impl_->doorbell.Ring();
  if (impl_->thread.joinable()) impl_->thread.join();
}

absl::Status MasterLoop::PostApi(Event event, size_t bytes) {
  if (impl_->api.TryPush(std::move(event), bytes)) return absl::OkStatus();
  if (impl_->stopping.load()) {
    return MakeError(absl::StatusCode::kUnavailable, "DRAINING", "the master is shutting down");
  }
  return MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                   "the master has more calls than it can take in", absl::Milliseconds(200));
}

bool MasterLoop::PostApiWait(Event event, size_t bytes) {
  return impl_->api.Push(std::move(event), bytes);
}

bool MasterLoop::PostOutput(OutputArrived output, size_t bytes) {
  return impl_->results.Push(std::move(output), bytes);
}

bool MasterLoop::PostResults(ResultsArrived results, size_t bytes) {
  return impl_->results.Push(std::move(results), bytes);
}

void MasterLoop::PostInternal(Event event) { impl_->internal.TryPush(std::move(event)); }

absl::Status MasterLoop::Query(std::function<void(Scheduler&, const Now&)> read,
                               std::function<void()> done) {
  if (impl_->queries.TryPush({std::move(read), std::move(done)})) return absl::OkStatus();
  if (impl_->stopping.load()) {
    return MakeError(absl::StatusCode::kUnavailable, "DRAINING", "the master is shutting down");
  }
  return MakeError(absl::StatusCode::kResourceExhausted, "QUEUE_FULL",
                   "the master has more calls than it can take in", absl::Milliseconds(200));
}

Dispatcher& MasterLoop::dispatcher() { return *impl_->dispatcher; }

}  // namespace reeve
