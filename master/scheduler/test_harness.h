// A scheduler with a store that commits when told to, and workers that are played by the test.

#ifndef REEVE_MASTER_SCHEDULER_TEST_HARNESS_H_
#define REEVE_MASTER_SCHEDULER_TEST_HARNESS_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/input_batch.h"
#include "master/scheduler/scheduler.h"

namespace reeve {

class Harness {
 public:
  explicit Harness(Image image = Fresh(), SchedulerOptions options = {})
      : scheduler_(options, std::move(image), Now_()) {
    Take();
  }

  static Image Fresh() {
    Image image;
    image.epoch = Epoch(1);
    image.next_job = JobId(1);
    return image;
  }

  Now Now_() const { return {clock_, absl::FromUnixSeconds(1'000'000) + clock_ + wall_offset}; }
  void Advance(absl::Duration by) {
    clock_ += by;
    Step(Tick{});
  }

  void Step(Event event) {
    scheduler_.Step(Now_(), std::move(event));
    Take();
  }

  // Takes effects, and commits at once while `auto_commit` is set.
  void Take() {
    for (;;) {
      Effects effects = scheduler_.TakeEffects(Now_());
      scheduler_.CheckInvariants();
      bool wrote = false;
      for (WriteBatch& batch : effects.writes) {
        wrote = true;
        last_commit[static_cast<int>(batch.store)] = batch.number;
        for (Write& write : batch.writes) writes.push_back(std::move(write));
      }
      for (Assignment& assignment : effects.assignments) {
        for (AssignedSpan& span : assignment.spans)
          assigned[assignment.session].push_back(std::move(span));
      }
      for (LinkSend& send : effects.sends) sends.push_back(std::move(send));
      for (Reply& reply : effects.replies) replies.push_back(std::move(reply));
      for (AckResults& ack : effects.acks) acks.push_back(std::move(ack));
      for (ResultsNotice& notice : effects.results) results.push_back(std::move(notice));
      for (JobNotice& notice : effects.jobs) jobs.push_back(std::move(notice));
      for (LoadInputs& load : effects.loads) loads.push_back(load);
      for (LoadResults& load : effects.results_wanted) results_wanted.push_back(load);
      if (!wrote || !auto_commit) return;
      Commit();
    }
  }
  void Commit() {
    for (int s = 0; s < kStoreCount; ++s) {
      scheduler_.Step(Now_(), Committed{static_cast<StoreKind>(s), last_commit[s]});
    }
  }

  JobReply Create(const std::string& request, uint32_t count, JobOptions options = {},
                  uint64_t hash = 1) {
    if (options.handler.empty()) options.handler = "echo";
    CreateJob event;
    event.call = CallId(++calls_);
    event.request_id = request;
    event.content_hash = hash;
    event.options = options;
    event.array_count = count;
    Step(std::move(event));
    return std::get<JobReply>(replies.back().body);
  }

  // A job whose tasks have these keys.
  JobId CreateKeyed(const std::vector<uint64_t>& keys, const JobExtras& extras) {
    CreateJob event = CreateWith(extras);
    InputBatchBuilder inputs;
    for (size_t i = 0; i < keys.size(); ++i) inputs.Add("x");
    event.array_count = 0;
    event.inputs = *InputBatch::Parse(Buffer(inputs.Finish()));
    event.input_count = static_cast<uint32_t>(keys.size());
    event.input_bytes = keys.size();
    event.task_keys = keys;
    return CreateIt(std::move(event));
  }
  CreateJob CreateWith(const JobExtras& extras, uint32_t count = 1) {
    CreateJob event;
    event.call = CallId(++calls_);
    event.request_id = "with " + std::to_string(calls_);
    event.options.handler = "echo";
    event.options.extras = std::make_shared<const JobExtras>(extras);
    event.array_count = count;
    return event;
  }
  JobId CreateIt(CreateJob event) {
    Step(std::move(event));
    return std::get<JobReply>(replies.back().body).view.job;
  }
  JobState StateOf(JobId id) const {
    const auto found = scheduler_.FindJob(id);
    if (found.has_value()) return found->state;
    for (auto notice = jobs.rbegin(); notice != jobs.rend(); ++notice) {
      if (notice->view.job == id) return notice->view.state;
    }
    return JobState::kUnspecified;
  }
  Cause CauseOf(JobId id) const {
    for (auto notice = jobs.rbegin(); notice != jobs.rend(); ++notice) {
      if (notice->view.job == id) return notice->view.cause;
    }
    return Cause::kNone;
  }
  absl::Status LastStatus() const {
    const auto& body = replies.back().body;
    if (const auto* status = std::get_if<StatusReply>(&body)) return status->status;
    if (const auto* several = std::get_if<JobsReply>(&body)) return several->status;
    return std::get<JobReply>(body).status;
  }

  void Join(uint64_t session, uint32_t slots, const std::string& process = "p",
            std::vector<HeldRun> held = {}, std::vector<HeldRun> suspects = {},
            bool culprit_named = false, const std::string& suspects_process = "") {
    Hello hello;
    hello.session = SessionId(session);
    hello.number = ++hellos_;
    hello.worker_id = "worker" + std::to_string(session % 100);
    hello.process_id = process;
    hello.handlers = offers;
    hello.labels = labels;
    hello.resources = resources;
    hello.lanes[static_cast<int>(Lane::kThread)] = {slots, 0};
    slots_[session] = slots;
    hello.held = std::move(held);
    hello.suspects = std::move(suspects);
    hello.culprit_named = culprit_named;
    hello.suspects_process = suspects_process;
    Step(std::move(hello));
  }

  // The worker lives, and has seen all that was sent.
  void Beat(uint64_t session, std::vector<RunningTask> running = {}) {
    Heartbeat beat;
    beat.session = SessionId(session);
    beat.number = ++beats_;
    beat.seen_seq = LeaseSeq(1'000'000'000);
    beat.lanes[static_cast<int>(Lane::kThread)] = {slots_[session], 0};
    beat.running = std::move(running);
    Step(std::move(beat));
  }
  // Time passes for the master and worker 1.
  void Live(absl::Duration by) {
    for (; by > absl::ZeroDuration(); by -= absl::Seconds(1)) {
      Advance(std::min(by, absl::Seconds(1)));
      Beat(1);
    }
  }

  // The worker hands in all of a span.
  void Finish(uint64_t session, const AssignedSpan& span, std::vector<FailedEntry> failed = {},
              absl::Duration each = absl::Microseconds(1)) {
    FinishRun(session, span.job, span.lease, span.run, std::move(failed), each);
  }
  void FinishRun(uint64_t session, JobId job, LeaseSeq lease, Run run,
                 std::vector<FailedEntry> failed = {},
                 absl::Duration each = absl::Microseconds(1)) {
    ResultsArrived arrived;
    arrived.session = SessionId(session);
    arrived.epoch = scheduler_.epoch();
    ResultBatchArrived batch;
    batch.number = ++batches_;
    batch.job = job;
    batch.runs = {{lease, run}};
    batch.failed = std::move(failed);
    batch.run_time = each * run.count;
    batch.body = Buffer(std::string(result_bytes, 'r'));
    batch.added = std::exchange(adding, {});
    batch.counted = std::exchange(counting, {});
    batch.run_times = {
        {TimeHistogram::BucketOf(static_cast<uint32_t>(absl::ToInt64Microseconds(each))),
         run.count}};
    arrived.batches.push_back(std::move(batch));
    Step(std::move(arrived));
  }
  std::vector<AssignedSpan> TakeAssigned(uint64_t session) {
    return std::exchange(assigned[SessionId(session)], {});
  }
  // Runs everything that is handed out until nothing more comes.
  void RunAll() {
    for (bool any = true; any;) {
      any = false;
      for (auto& [session, spans] : assigned) {
        for (const AssignedSpan& span : std::exchange(spans, {})) {
          any = true;
          Finish(session.value, span);
        }
      }
    }
  }

  bool auto_commit = true;
  std::vector<HandlerOffer> offers = {{"echo", Lane::kThread}};  // Of workers that join.
  std::map<std::string, std::string> labels;                     // Likewise.
  Resources resources;                                           // Likewise.
  size_t result_bytes = 0;                                       // Of each batch.
  NewInputs adding;  // With the next batch, as what follows.
  std::vector<CountedEntry> counting;
  std::array<uint64_t, kStoreCount> last_commit{};
  std::vector<Write> writes;
  std::map<SessionId, std::vector<AssignedSpan>> assigned;
  std::vector<LinkSend> sends;
  std::vector<Reply> replies;
  std::vector<AckResults> acks;
  std::vector<ResultsNotice> results;
  std::vector<JobNotice> jobs;
  std::vector<LoadInputs> loads;
  std::vector<LoadResults> results_wanted;
  absl::Duration clock_ = absl::Seconds(100);
  absl::Duration wall_offset;  // As if somebody had set the wall clock.
  Scheduler scheduler_;

 private:
  uint64_t calls_ = 0, hellos_ = 0, batches_ = 0, beats_ = 0;
  std::map<uint64_t, uint32_t> slots_;
};

inline HeldRun Held(const AssignedSpan& span, Run run, uint64_t epoch = 1) {
  return {span.job, span.birth, {Epoch(epoch), span.lease}, run, HeldPhase::kQueued};
}

// Job 7, an array of which a master before this one may have assigned the first `frontier` tasks.
inline JobImage StoredArray(uint32_t count, uint32_t frontier) {
  JobImage stored;
  stored.job.view.job = JobId(7);
  stored.job.options.handler = "echo";
  stored.job.array_count = count;
  stored.state = JobState::kActive;
  stored.frontier = frontier;
  stored.chunks.push_back({{0, count}, {Epoch(1), 3}, 0});
  return stored;
}

// What a second life of the master, which awaits worker1, finds in the store.
inline Image Restarted(JobImage job) {
  Image image = Harness::Fresh();
  image.epoch = Epoch(2);
  image.next_job = JobId(1000);
  image.roster.push_back({"worker1", WorkerNumber(1)});
  image.jobs.push_back(std::move(job));
  return image;
}

inline uint64_t Count(const std::vector<AssignedSpan>& spans) {
  uint64_t count = 0;
  for (const AssignedSpan& span : spans) count += span.run.count;
  return count;
}

}  // namespace reeve

#endif  // REEVE_MASTER_SCHEDULER_TEST_HARNESS_H_
