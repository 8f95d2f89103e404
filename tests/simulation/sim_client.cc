#include "tests/simulation/sim_client.h"

#include <algorithm>

#include "tests/simulation/asks.h"

namespace reeve::sim {
namespace {

// Which timer of a client.
constexpr uint64_t kCreateTimer = 0, kCloseTimer = 1, kCancelTimer = 2, kPauseTimer = 3,
                   kResumeTimer = 4, kUpdateTimer = 5, kDeleteTimer = 6, kFirstStreamTimer = 7;
constexpr int64_t kPatience = 2 * kSecond;
constexpr uint64_t kAhead = 2;  // Appends under way, in batches.
constexpr uint64_t kInlineAppender = 999;

// What did not succeed.
std::vector<Run> SelectedOf(const JobRow& row, bool failed_only) {
  IntervalSet selected;
  for (TaskIndex i = 0; i < row.total(); ++i) {
    const TaskState state = row.tasks[i].state;
    if (!row.Has(i) || state == TaskState::kSucceeded) continue;
    if (state == TaskState::kFailed || !failed_only) selected.Add({i, 1});
  }
  return selected.Runs();
}

std::string AppenderName(uint32_t appender) {
  return std::string(1, static_cast<char>('a' + appender));
}

}  // namespace

SimClients::SimClients(World* world, SimStore* store, Checker* checker)
    : world_(world), store_(store), checker_(checker), clients_(world->config.jobs.size()) {
  uint32_t leader = 0;  // Of the last group.
  for (uint32_t i = 0; i < clients_.size(); ++i) {
    Client& client = clients_[i];
    client.key = JobKey(world->config, i);
    client.request = client.row_request = "request-" + std::to_string(i);
    const Asks& asks = PlanOf(i).asks;
    if (asks.scheduled) {
      client.over = true;
      continue;
    }
    if (asks.group > 0) leader = i;
    if (asks.group > 0 || asks.grouped) {
      client.row_request = clients_[leader].request + "#" + std::to_string(i - leader);
    }
    client.create.wanted = true;
    client.streams.resize(PlanOf(i).appenders);
    client.close.wanted = PlanOf(i).kind == JobPlan::Kind::kAppended && !asks.idle_close;
    client.pause.wanted = asks.pause_at > 0;
    client.resume.wanted = asks.resume_at > 0;
    client.update.wanted = asks.update_at > 0;
    client.remove.wanted = asks.delete_at > 0;
    if (client.pause.wanted) Retry(i, kPauseTimer, &client.pause.token, asks.pause_at);
    if (client.resume.wanted) Retry(i, kResumeTimer, &client.resume.token, asks.resume_at);
    if (client.update.wanted) Retry(i, kUpdateTimer, &client.update.token, asks.update_at);
    if (client.remove.wanted) Retry(i, kDeleteTimer, &client.remove.token, asks.delete_at);
    client.cancel.wanted = PlanOf(i).cancel_at > 0;
    Retry(i, kCreateTimer, &client.create.token, PlanOf(i).at);
    if (client.cancel.wanted) Retry(i, kCancelTimer, &client.cancel.token, PlanOf(i).cancel_at);
    if (PlanOf(i).ephemeral) ReadLater(i);
  }
}

bool SimClients::Done() const {
  return std::all_of(clients_.begin(), clients_.end(), [](const Client& client) {
    if (client.over) return true;
    return client.create.done && client.close.done == client.close.wanted &&
           client.cancel.done == client.cancel.wanted && client.pause.done == client.pause.wanted &&
           client.resume.done == client.resume.wanted &&
           client.update.done == client.update.wanted && client.remove.done == client.remove.wanted;
  });
}

bool SimClients::Ended(JobId job) const {
  const JobRow* row = store_->Find(job);
  return row == nullptr ? store_->IsDeleted(job) : IsTerminal(row->state);
}

CallId SimClients::NewCall(uint32_t client, Verb verb, uint32_t appender) {
  calls_.push_back({client, verb, appender, {}});
  return CallId(calls_.size());
}

void SimClients::Retry(uint32_t client, uint64_t which, uint64_t* token, int64_t after) {
  world_->At(world_->now + after, Kind::kClientTimer, client, which, ++*token);
}

void SimClients::Post(Event event) {
  world_->At(world_->now + world_->clients.Between(50, 2 * kMs), Kind::kApi, 0,
             posted_.Put(std::move(event)));
}

void SimClients::OnCall(uint64_t call) { (void)master_->Call(posted_.Take(call)); }

void SimClients::OnTimer(uint32_t index, uint64_t which, uint64_t token) {
  Client& client = clients_[index];
  if (which == kCreateTimer && token == client.create.token) {
    Create(index);
  } else if (which == kCloseTimer && token == client.close.token) {
    Close(index);
  } else if (which == kCancelTimer && token == client.cancel.token) {
    Cancel(index);
  } else if (which == kPauseTimer && token == client.pause.token) {
    Change(index, Verb::kPause, which, nullptr);
  } else if (which == kResumeTimer && token == client.resume.token) {
    Change(index, Verb::kResume, which, client.pause.wanted ? &client.pause : nullptr);
  } else if (which == kUpdateTimer && token == client.update.token) {
    Change(index, Verb::kUpdate, which, nullptr);
  } else if (which == kDeleteTimer && token == client.remove.token) {
    Delete(index);
  } else if (which >= kFirstStreamTimer) {
    const auto appender = static_cast<uint32_t>(which - kFirstStreamTimer);
    Stream& stream = client.streams[appender];
    if (token != stream.token || stream.done) return;
    if (stream.call) return GiveUpStream(index, appender, world_->clients.Between(0, 300 * kMs));
    Open(index, appender);
  }
}

// ---- Calls ----

InputsRef SimClients::Inputs(uint64_t key, uint64_t appender, uint64_t offset,
                             uint32_t count) const {
  InputBatchBuilder builder;
  for (uint32_t i = 0; i < count; ++i) {
    const std::string input = ClientInput(world_->config, key, appender, offset + i);
    if (sim::PlanOf(world_->config, key).nodes == 0) {
      builder.Add(input);
    } else {
      builder.Add(input, NodeKey(NodeOf(input)));
    }
  }
  return *InputBatch::Parse(Buffer(builder.Finish()));
}

bool SimClients::SetDependencies(uint32_t index, uint32_t leader, CreateJob* event) {
  const Asks& asks = PlanOf(index).asks;
  if (asks.after.empty()) return true;
  auto extras = std::make_shared<JobExtras>(*event->options.extras);
  for (const Asks::After& after : asks.after) {
    JobDependency dependency;
    dependency.condition = after.condition;
    dependency.results = after.results;
    dependency.name = "r" + std::to_string(after.plan);
    Client& other = clients_[after.plan];
    if (after.plan >= leader) {
      dependency.job = JobId(CreateJobs::kPlaceBit | (after.plan - leader + 1));
    } else if (!other.job) {
      clients_[index].over = clients_[index].over || other.over;
      return false;
    } else if (store_->IsDeleted(other.job)) {
      clients_[index].over = true;
      return false;
    } else {
      dependency.job = other.job;
      const JobRow* row = store_->Find(other.job);
      if (row != nullptr && IsTerminal(row->state))
        event->ended.push_back({other.job, row->state, row->ending.cause});
      // Now and then somebody deletes it just then.
      if (other.remove.wanted && world_->clients.Chance(300)) Delete(after.plan);
    }
    extras->after.push_back(dependency);
  }
  event->options.extras = std::move(extras);
  return true;
}

std::optional<CreateJob> SimClients::MakeCreate(uint32_t index, uint32_t leader) {
  const Client& client = clients_[index];
  const JobPlan& plan = PlanOf(index);
  CreateJob event;
  SetOptions(plan, &event.options);
  if (!SetDependencies(index, leader, &event)) return std::nullopt;
  event.record = Buffer(std::string(reinterpret_cast<const char*>(&client.key), sizeof client.key));
  event.open = plan.kind == JobPlan::Kind::kAppended;
  event.hold = plan.asks.hold;
  if (plan.kind == JobPlan::Kind::kArray) event.array_count = plan.count;
  if (plan.kind == JobPlan::Kind::kInline) {
    event.inputs = Inputs(client.key, kInlineAppender, 0, plan.count);
    event.input_count = plan.count;
    event.input_bytes = event.inputs->payload_bytes();
    event.keys = event.inputs->Keys();
    for (uint32_t i = 0; plan.asks.keys > 0 && i < plan.count; ++i)
      event.task_keys.push_back(TaskKeyOf(plan.asks, i));
  }
  return event;
}

std::optional<CreateJob> SimClients::MakeRetry(uint32_t index) {
  Client& client = clients_[index];
  const JobPlan& plan = PlanOf(index);
  const Client& other = clients_[plan.asks.retries];
  const JobRow* row = other.job ? store_->Find(other.job) : nullptr;
  if (row == nullptr) {
    client.over = other.over || store_->IsDeleted(other.job);
    if (const JobId made = store_->JobOf(client.request); client.over && made) {
      client.over = false;
      OnCreated(index, made);
    }
    return std::nullopt;
  }
  if (!IsTerminal(row->state)) return std::nullopt;
  CreateJob event;
  event.selected = SelectedOf(*row, plan.asks.failed_only);
  client.over = event.selected.empty();
  if (client.over) return std::nullopt;
  SetOptions(plan, &event.options);
  auto extras = std::make_shared<JobExtras>(*event.options.extras);
  extras->retry_of = other.job;
  event.options.extras = std::move(extras);
  event.record = Buffer(std::string(reinterpret_cast<const char*>(&client.key), sizeof client.key));
  event.array_count = row->put.array_count;
  for (const ChunkImage& chunk : row->chunks) {
    if (event.array_count > 0) break;
    event.chunks.push_back({chunk.run, chunk.bytes, chunk.positions, chunk.task_keys});
  }
  // Now and then somebody deletes the other one just then.
  if (other.remove.wanted && world_->clients.Chance(500))
    Delete(static_cast<uint32_t>(plan.asks.retries));
  return event;
}

void SimClients::Create(uint32_t index) {
  Client& client = clients_[index];
  const Asks& asks = PlanOf(index).asks;
  if (client.create.done || client.over || asks.grouped) return;
  Retry(index, kCreateTimer, &client.create.token, kPatience);
  if (asks.group == 0) {
    std::optional<CreateJob> event =
        asks.retries >= 0 ? MakeRetry(index) : MakeCreate(index, index);
    if (!event.has_value()) return;
    event->call = client.create.call = NewCall(index, Verb::kCreate);
    event->request_id = client.request;
    event->content_hash = client.key;
    return Post(std::move(*event));
  }
  CreateJobs event;
  for (uint32_t i = index; i <= index + asks.group; ++i) {
    std::optional<CreateJob> one = MakeCreate(i, index);
    if (!one.has_value()) return;
    event.jobs.push_back(std::move(*one));
  }
  event.call = client.create.call = NewCall(index, Verb::kCreate);
  event.request_id = client.request;
  event.content_hash = client.key;
  Post(std::move(event));
}

SimClients::Ask& SimClients::AskOf(Client& client, Verb verb) {
  switch (verb) {
    case Verb::kClose: return client.close;
    case Verb::kCancel: return client.cancel;
    case Verb::kPause: return client.pause;
    case Verb::kResume: return client.resume;
    case Verb::kUpdate: return client.update;
    case Verb::kDelete: return client.remove;
    default: return client.create;
  }
}

void SimClients::Change(uint32_t index, Verb verb, uint64_t which, const Ask* behind) {
  Client& client = clients_[index];
  Ask& ask = AskOf(client, verb);
  if (ask.done || client.over) return;
  const bool ready = client.job && (behind == nullptr || behind->done);
  Retry(index, which, &ask.token, ready ? kPatience : 300 * kMs);
  if (!ready) return;
  ask.call = NewCall(index, verb);
  const Asks& asks = PlanOf(index).asks;
  if (verb == Verb::kPause) {
    Post(PauseJob{ask.call, client.job});
  } else if (verb == Verb::kResume) {
    Post(ResumeJob{ask.call, client.job});
  } else {
    Post(UpdateJob{ask.call, client.job, asks.new_priority, asks.new_max_in_flight});
  }
}

void SimClients::Close(uint32_t index) {
  Client& client = clients_[index];
  if (client.close.done || !client.job) return;
  client.close.call = NewCall(index, Verb::kClose);
  Post(CloseJob{client.close.call, client.job});
  Retry(index, kCloseTimer, &client.close.token, kPatience);
}

void SimClients::Cancel(uint32_t index) {
  Client& client = clients_[index];
  if (client.cancel.done) return;
  Retry(index, kCancelTimer, &client.cancel.token, kPatience);
  if (!client.job) return;
  client.cancel.call = NewCall(index, Verb::kCancel);
  Post(CancelJob{client.cancel.call, client.job});
}

void SimClients::Delete(uint32_t index) {
  Client& client = clients_[index];
  if (!client.remove.wanted || client.remove.done || client.over) return;
  Retry(index, kDeleteTimer, &client.remove.token, client.job ? kPatience : 300 * kMs);
  if (!client.job) return;
  client.remove.call = NewCall(index, Verb::kDelete);
  calls_.back().job = client.job;
  Post(DeleteJob{client.remove.call, client.job});
}

void SimClients::Open(uint32_t index, uint32_t appender) {
  Client& client = clients_[index];
  Stream& stream = client.streams[appender];
  stream = {.call = NewCall(index, Verb::kAppend, appender), .token = stream.token};
  Post(OpenAppender{stream.call, client.job, AppenderName(appender)});
  Retry(index, kFirstStreamTimer + appender, &stream.token, kPatience);
}

void SimClients::Append(uint32_t index, uint32_t appender) {
  Client& client = clients_[index];
  Stream& stream = client.streams[appender];
  const JobPlan& plan = PlanOf(index);
  while (stream.sent < plan.count && stream.sent < stream.committed + kAhead * plan.batch) {
    AppendTasks event;
    event.stream = stream.call;
    event.offset = stream.sent;
    event.count = std::min(plan.batch, plan.count - static_cast<uint32_t>(stream.sent));
    event.inputs = Inputs(client.key, appender, stream.sent, event.count);
    event.bytes = event.inputs->payload_bytes();
    event.keys = event.inputs->Keys();
    stream.sent += event.count;
    // Calls of one stream keep their order: one posted at the same time as another follows it.
    (void)master_->Call(std::move(event));
  }
  Retry(index, kFirstStreamTimer + appender, &stream.token, kPatience);
}

void SimClients::GiveUpStream(uint32_t index, uint32_t appender, int64_t reopen_after) {
  Stream& stream = clients_[index].streams[appender];
  if (stream.call) Post(CloseAppender{stream.call});
  stream.call = {};
  stream.open = false;
  Retry(index, kFirstStreamTimer + appender, &stream.token, reopen_after);
}

// ---- EPHEMERAL jobs ----

void SimClients::ReadLater(uint32_t index) {
  world_->At(world_->now + world_->clients.Between(50 * kMs, 1500 * kMs), Kind::kReadTimer, index,
             ++clients_[index].reader.token);
}

void SimClients::OnReadTimer(uint32_t index, uint64_t token) {
  Client& client = clients_[index];
  if (token != client.reader.token || client.over) return;
  ReadLater(index);
  if (!client.job || !master_->alive()) return;
  const JobRow* row = store_->Find(client.job);
  if (row == nullptr && !store_->IsDeleted(client.job)) return StartAnew(index);
  if (row != nullptr && !IsTerminal(row->state)) return Read(index);
  if (client.remove.wanted && !client.remove.done) return;
  client.over = true;
  if (row == nullptr) return;
  if (!PlanOf(index).read && row->state == JobState::kCancelled && !client.cancel.wanted)
    world_->Saw(Seen::kNobodyReads);
}

void SimClients::StartAnew(uint32_t index) {
  Client& client = clients_[index];
  client.job = {};
  client.create.done = client.close.done = client.cancel.done = client.remove.done = false;
  client.remove.call = {};
  for (Stream& stream : client.streams) {
    const uint64_t token = stream.token + 1;
    stream = {};
    stream.token = token;
  }
  client.reader.cursor = {};
  client.reader.passed = 0;
  Retry(index, kCreateTimer, &client.create.token, 0);
  if (client.cancel.wanted) Retry(index, kCancelTimer, &client.cancel.token, kPatience);
  if (client.remove.wanted) Retry(index, kDeleteTimer, &client.remove.token, kPatience);
}

void SimClients::Read(uint32_t index) {
  if (!PlanOf(index).read) return;
  Client& client = clients_[index];
  Reader& reader = client.reader;
  if (!reader.cursor) {
    reader.cursor = NewCall(index, Verb::kRead);
    return MoveCursor(index, reader.passed, false);
  }
  const JobRow* row = store_->Find(client.job);
  reader.passed = std::min(row->last_seq, reader.passed + world_->clients.Below(6));
  // Now and then the stream breaks off, and another goes on from where it was.
  const bool closes = world_->clients.Chance(80);
  MoveCursor(index, reader.passed, closes);
  if (closes) reader.cursor = {};
}

void SimClients::MoveCursor(uint32_t index, uint64_t passed, bool closed) {
  const Client& client = clients_[index];
  (void)master_->Call(CursorMoved{client.job, client.reader.cursor, passed, closed});
}

// ---- Replies ----

void SimClients::OnReply(const Reply& reply) {
  const Call& call = calls_[reply.call.value - 1];
  Client& client = clients_[call.client];
  world_->Note("replies", reply.call.value, static_cast<uint64_t>(call.verb));
  if (const auto* job = std::get_if<JobReply>(&reply.body)) {
    const JobState at_least = call.verb == Verb::kClose    ? JobState::kActive
                              : call.verb == Verb::kCancel ? JobState::kCancelling
                                                           : JobState::kUnspecified;
    const bool create = call.verb == Verb::kCreate;
    // What is done to a job that it is attached to is checked with that job's own client.
    if (create || PlanOf(call.client).asks.unique_key.empty())
      checker_->OnJobReply(client.row_request, create, at_least, *job);
    if ((call.verb == Verb::kPause || call.verb == Verb::kResume) &&
        AskOf(client, call.verb).call == reply.call) {
      checker_->OnPauseReply(call.verb == Verb::kPause, *job);
    }
  } else if (const auto* jobs = std::get_if<JobsReply>(&reply.body)) {
    checker_->OnJobsReply(client.request, *jobs);
  } else if (const auto* status = std::get_if<StatusReply>(&reply.body)) {
    checker_->OnDeleteReply(call.job, status->status);
  } else {
    checker_->OnAppendReply(AppenderName(call.appender), std::get<AppendReply>(reply.body));
  }
  if (!world_->healed && world_->clients.Chance(world_->config.reply_loss_permille)) return;
  world_->At(world_->now + world_->clients.Between(50, 2 * kMs), Kind::kReply, 0,
             replies_.Put(reply));
}

void SimClients::OnArrived(uint64_t slot) {
  const Reply reply = replies_.Take(slot);
  const Call& call = calls_[reply.call.value - 1];
  if (const auto* job = std::get_if<JobReply>(&reply.body)) {
    OnJobReply(call, reply.call, *job);
  } else if (const auto* jobs = std::get_if<JobsReply>(&reply.body)) {
    OnJobsReply(call, reply.call, *jobs);
  } else if (const auto* status = std::get_if<StatusReply>(&reply.body)) {
    OnDeleteReply(call, reply.call, status->status);
  } else {
    OnAppendReply(call, reply.call, std::get<AppendReply>(reply.body));
  }
}

void SimClients::OnJobsReply(const Call& call, CallId id, const JobsReply& reply) {
  Client& leader = clients_[call.client];
  if (leader.create.done || leader.create.call != id || !reply.status.ok()) return;
  for (uint32_t i = 0; i < reply.views.size(); ++i) OnCreated(call.client + i, reply.views[i].job);
}

void SimClients::OnCreated(uint32_t index, JobId job) {
  Client& client = clients_[index];
  client.create.done = true;
  client.job = job;
  for (uint32_t i = 0; i < client.streams.size(); ++i)
    Retry(index, kFirstStreamTimer + i, &client.streams[i].token, 0);
}

void SimClients::OnJobReply(const Call& call, CallId id, const JobReply& reply) {
  Client& client = clients_[call.client];
  Ask& ask = AskOf(client, call.verb);
  if (ask.done || ask.call != id) return;
  if (!reply.status.ok()) {
    if (absl::IsResourceExhausted(reply.status)) {
      world_->Saw(Seen::kQueueFull);
      // What was appended bit by bit may be more than ever fits at once.
      if (PlanOf(call.client).asks.retries >= 0 && world_->healed) client.over = true;
    }
    // No worker could ever run it: nobody asks again.
    if (call.verb == Verb::kCreate && absl::IsFailedPrecondition(reply.status)) client.over = true;
    // The service answers for ended jobs from the store.
    if (call.verb == Verb::kCreate || !Ended(client.job)) return;
    ask.done = true;
    return;
  }
  if (call.verb == Verb::kCreate) return OnCreated(call.client, reply.view.job);
  ask.done = true;
}

// Not ended, or still needed: again later.
void SimClients::OnDeleteReply(const Call& call, CallId id, const absl::Status& status) {
  Ask& ask = clients_[call.client].remove;
  if (status.ok() && ask.call == id) ask.done = true;
}

void SimClients::OnAppendReply(const Call& call, CallId id, const AppendReply& reply) {
  Client& client = clients_[call.client];
  Stream& stream = client.streams[call.appender];
  if (stream.done || stream.call != id) return;
  if (!reply.status.ok()) {
    // A job that takes no more: cancelled meanwhile, the only way it closes before us.
    const JobRow* row = store_->Find(client.job);
    const bool over = row == nullptr ? Ended(client.job) : row->state > JobState::kOpen;
    if (!over) return GiveUpStream(call.client, call.appender, 300 * kMs);
    stream.done = true;
  } else {
    if (!stream.open) {
      if (reply.committed_offset > 0) world_->Saw(Seen::kAppenderResumed);
      stream.open = true;
      stream.sent = reply.committed_offset;
    } else if (reply.run.count == 0) {
      world_->Saw(Seen::kAppendRepeated);
    }
    stream.committed = std::max(stream.committed, reply.committed_offset);
    if (stream.committed < PlanOf(call.client).count) {
      // Now and then it forgets what it knows and sends a batch again.
      if (stream.committed > 0 && world_->clients.Chance(50))
        stream.sent =
            stream.committed - std::min<uint64_t>(stream.committed, PlanOf(call.client).batch);
      return Append(call.client, call.appender);
    }
    stream.done = true;
    Post(CloseAppender{stream.call});
  }
  const bool all = std::all_of(client.streams.begin(), client.streams.end(),
                               [](const Stream& s) { return s.done; });
  if (all && client.close.wanted) Close(call.client);
}

}  // namespace reeve::sim
