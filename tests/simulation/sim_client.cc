#include "tests/simulation/sim_client.h"

#include <algorithm>

namespace reeve::sim {
namespace {

// Which timer of a client.
constexpr uint64_t kCreateTimer = 0, kCloseTimer = 1, kCancelTimer = 2, kFirstStreamTimer = 3;
constexpr int64_t kPatience = 2 * kSecond;
constexpr uint64_t kAhead = 2;  // Appends under way, in batches.
constexpr uint64_t kInlineAppender = 999;

std::string AppenderName(uint32_t appender) {
  return std::string(1, static_cast<char>('a' + appender));
}

}  // namespace

SimClients::SimClients(World* world, SimStore* store, Checker* checker)
    : world_(world), store_(store), checker_(checker), clients_(world->config.jobs.size()) {
  for (uint32_t i = 0; i < clients_.size(); ++i) {
    Client& client = clients_[i];
    client.key = (Mix(world->config.seed, 100 + i) & ~0xffull) | i;
    client.request = "request-" + std::to_string(i);
    client.create.wanted = true;
    client.streams.resize(PlanOf(i).appenders);
    client.close.wanted = PlanOf(i).kind == JobPlan::Kind::kAppended;
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
           client.cancel.done == client.cancel.wanted;
  });
}

bool SimClients::Ended(JobId job) const {
  const JobRow* row = store_->Find(job);
  return row != nullptr && IsTerminal(row->state);
}

CallId SimClients::NewCall(uint32_t client, Verb verb, uint32_t appender) {
  calls_.push_back({client, verb, appender});
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

void SimClients::Create(uint32_t index) {
  Client& client = clients_[index];
  if (client.create.done || client.over) return;
  const JobPlan& plan = PlanOf(index);
  CreateJob event;
  event.call = client.create.call = NewCall(index, Verb::kCreate);
  event.request_id = client.request;
  event.content_hash = client.key;
  event.options.handler = "work";
  event.options.max_attempts = plan.max_attempts;
  event.options.at_most_once = plan.at_most_once;
  event.options.exclusive = plan.exclusive;
  event.options.ephemeral = plan.ephemeral;
  event.options.max_in_flight = plan.max_in_flight;
  event.options.accepts_inputs = plan.nodes > 0;
  event.options.max_tasks = plan.max_tasks;
  event.record = Buffer(std::string(reinterpret_cast<const char*>(&client.key), sizeof client.key));
  event.open = plan.kind == JobPlan::Kind::kAppended;
  if (plan.kind == JobPlan::Kind::kArray) event.array_count = plan.count;
  if (plan.kind == JobPlan::Kind::kInline) {
    event.inputs = Inputs(client.key, kInlineAppender, 0, plan.count);
    event.input_count = plan.count;
    event.input_bytes = event.inputs->payload_bytes();
    event.keys = event.inputs->Keys();
  }
  Post(std::move(event));
  Retry(index, kCreateTimer, &client.create.token, kPatience);
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
  if (row == nullptr) return StartAnew(index);
  if (!IsTerminal(row->state)) return Read(index);
  client.over = true;
  if (!PlanOf(index).read && row->state == JobState::kCancelled && !client.cancel.wanted)
    world_->Saw(Seen::kNobodyReads);
}

void SimClients::StartAnew(uint32_t index) {
  Client& client = clients_[index];
  client.job = {};
  client.create.done = client.close.done = client.cancel.done = false;
  for (Stream& stream : client.streams) {
    const uint64_t token = stream.token + 1;
    stream = {};
    stream.token = token;
  }
  client.reader.cursor = {};
  client.reader.passed = 0;
  Retry(index, kCreateTimer, &client.create.token, 0);
  if (client.cancel.wanted) Retry(index, kCancelTimer, &client.cancel.token, kPatience);
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
    const JobState at_least = call.verb == Verb::kCreate  ? JobState::kUnspecified
                              : call.verb == Verb::kClose ? JobState::kActive
                                                          : JobState::kCancelling;
    checker_->OnJobReply(client.request, call.verb == Verb::kCreate, at_least, *job);
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
  } else {
    OnAppendReply(call, reply.call, std::get<AppendReply>(reply.body));
  }
}

void SimClients::OnJobReply(const Call& call, CallId id, const JobReply& reply) {
  Client& client = clients_[call.client];
  Ask& ask = call.verb == Verb::kCreate  ? client.create
             : call.verb == Verb::kClose ? client.close
                                         : client.cancel;
  if (ask.done || ask.call != id) return;
  if (!reply.status.ok()) {
    if (absl::IsResourceExhausted(reply.status)) world_->Saw(Seen::kQueueFull);
    // The service answers for ended jobs from the store.
    if (call.verb == Verb::kCreate || !Ended(client.job)) return;
    ask.done = true;
    return;
  }
  ask.done = true;
  if (call.verb != Verb::kCreate) return;
  client.job = reply.view.job;
  for (uint32_t i = 0; i < client.streams.size(); ++i)
    Retry(call.client, kFirstStreamTimer + i, &client.streams[i].token, 0);
}

void SimClients::OnAppendReply(const Call& call, CallId id, const AppendReply& reply) {
  Client& client = clients_[call.client];
  Stream& stream = client.streams[call.appender];
  if (stream.done || stream.call != id) return;
  if (!reply.status.ok()) {
    // A job that takes no more: cancelled meanwhile, the only way it closes before us.
    const JobRow* row = store_->Find(client.job);
    const bool over = row != nullptr && row->state > JobState::kOpen;
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
  if (all) Close(call.client);
}

}  // namespace reeve::sim
