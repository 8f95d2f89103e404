#include "worker/sql/sql_pool.h"

#include <postgresql/libpq-fe.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/named_thread.h"
#include "base/strings.h"
#include "worker/async/event_loop.h"
#include "worker/sql/sql_result.h"

namespace reeve {
namespace {

using Kind = SqlOutcome::Kind;

// A connection nobody answers on is noticed within a minute; what the connection string says
// counts.
constexpr std::pair<const char*, const char*> kDefaults[] = {
    {"application_name", "reeve-worker"}, {"connect_timeout", "10"}, {"keepalives_idle", "30"},
    {"keepalives_interval", "10"},        {"keepalives_count", "3"}, {"tcp_user_timeout", "60000"},
};

std::string OneLine(std::string_view text) {
  std::string line(text);
  absl::RemoveExtraAsciiWhitespace(&line);
  return line;
}

std::string_view Field(const PGresult* result, int field) {
  const char* text = PQresultErrorField(result, field);
  return text == nullptr ? std::string_view() : text;
}

std::string CauseOf(const PGresult* result) {
  std::string cause = OneLine(Field(result, PG_DIAG_MESSAGE_PRIMARY));
  if (cause.empty()) cause = OneLine(PQresultErrorMessage(result));
  const std::string_view state = Field(result, PG_DIAG_SQLSTATE);
  const std::string_view detail = Field(result, PG_DIAG_MESSAGE_DETAIL);
  if (!state.empty()) StrAppend(&cause, " (SQLSTATE ", state, ")");
  if (!detail.empty()) StrAppend(&cause, ": ", OneLine(detail));
  return cause;
}

// Classes of SQLSTATE: connections, conflicts of transactions, want of resources, somebody
// intervened, faults of the system; and a lock that was not waited for. None: libpq says it, of a
// connection that is lost.
bool MayPass(std::string_view state) {
  const std::string_view kind = state.substr(0, 2);
  return kind.empty() || kind == "08" || kind == "40" || kind == "53" || kind == "57" ||
         kind == "58" || state == "55P03";
}

}  // namespace

struct SqlPool::Impl {
  struct Job {
    uint64_t number = 0;
    SqlTransaction transaction;
    std::function<void(SqlOutcome)> done;
  };

  enum class Phase { kIdle, kStatements, kCommit, kRollback, kClean };

  struct Connection {
    std::shared_ptr<PGconn> pg;
    int fd = -1;
    Phase phase = Phase::kIdle;
    std::optional<Job> job;
    SqlOutcome outcome;
    SqlResult result;    // Of the statement whose results come.
    size_t bytes = 0;    // Of those before it.
    size_t answers = 0;  // Of statements; BEGIN is the first.
  };

  struct Told {
    uint64_t number;
    std::function<void(SqlOutcome)> done;
    SqlOutcome outcome;
  };

  EventLoop* loop;
  SqlPoolOptions options;
  uint64_t next_number = 1;
  std::map<uint64_t, Connection> connections;  // By a number of their own.
  std::deque<Job> queue;
  std::deque<Told> told;  // Called at the end of a call of the loop, when all is in order.
  uint32_t opening = 0, closing = 0;
  mutable Mutex state_mu;
  SqlPoolState state ABSL_GUARDED_BY(state_mu);

  // The thread that waits.
  Mutex helper_mu;
  CondVar helper_work;
  std::deque<std::function<void()>> helper_calls ABSL_GUARDED_BY(helper_mu);
  bool helper_stopping ABSL_GUARDED_BY(helper_mu) = false;
  std::thread helper;

  void OnHelper(std::function<void()> call);
  void Pump();
  void Open();
  void OnConnected(const std::shared_ptr<PGconn>& pg);
  void OnReady(uint64_t id, bool readable, bool writable);
  void Begin(uint64_t id, Connection& connection);
  bool Send(Connection& connection, const std::string& text,
            const std::vector<std::optional<std::string>>& params);
  void Conclude(uint64_t id, Connection& connection, bool commit);
  void Flush(uint64_t id, Connection& connection);
  void Read(uint64_t id, Connection& connection);
  bool Take(Connection& connection, PGresult* result);
  void TakeError(Connection& connection, const PGresult* result);
  void OnSynced(uint64_t id, Connection& connection);
  void Lose(uint64_t id, const std::string& why);
  void Close(uint64_t id, bool cancel);
  void Finish(Connection& connection);
  void Fail(Connection& connection, Kind kind, std::string cause);
  void Settle();
};

// ---- Connecting and closing ----

void SqlPool::Impl::OnHelper(std::function<void()> call) {
  MutexLock lock(&helper_mu);
  helper_calls.push_back(std::move(call));
  helper_work.NotifyOne();
  if (helper.joinable()) return;
  helper = NamedThread("sql-connect", [this] {
    for (;;) {
      std::function<void()> next;
      {
        MutexLock lock(&helper_mu);
        while (helper_calls.empty() && !helper_stopping) helper_work.Wait(&helper_mu);
        if (helper_stopping) return;
        next = std::move(helper_calls.front());
        helper_calls.pop_front();
      }
      next();
    }
  });
}

void SqlPool::Impl::Open() {
  ++opening;
  OnHelper([this] {
    std::vector<const char*> keys, values;
    for (const auto& [key, value] : kDefaults) {
      keys.push_back(key);
      values.push_back(value);
    }
    // Expanded where it stands: it overrides what is before it.
    keys.insert(keys.end(), {"dbname", "client_encoding", nullptr});
    values.insert(values.end(), {options.database.c_str(), "UTF8", nullptr});
    std::shared_ptr<PGconn> pg(PQconnectdbParams(keys.data(), values.data(), 1), PQfinish);
    loop->Post([this, pg] { OnConnected(pg); });
  });
}

void SqlPool::Impl::OnConnected(const std::shared_ptr<PGconn>& pg) {
  --opening;
  const bool is_open = PQstatus(pg.get()) == CONNECTION_OK && PQsetnonblocking(pg.get(), 1) == 0 &&
                       PQenterPipelineMode(pg.get()) == 1;
  {
    MutexLock lock(&state_mu);
    ++(is_open ? state.connects : state.failed_connects);
    if (!is_open) state.last_error = OneLine(PQerrorMessage(pg.get()));
  }
  if (!is_open) {
    REEVE_LOG_WARNING("cannot connect to the database why={}", OneLine(PQerrorMessage(pg.get())));
    // Others may come by a connection that is there.
    while (connections.empty() && !queue.empty()) {
      told.push_back(
          {queue.front().number,
           std::move(queue.front().done),
           {Kind::kMayPass, StrCat("cannot connect: ", OneLine(PQerrorMessage(pg.get()))), {}}});
      queue.pop_front();
    }
    return Settle();
  }
  PQsetNoticeProcessor(
      pg.get(), [](void*, const char*) {}, nullptr);
  const uint64_t id = next_number++;
  Connection& connection = connections[id];
  connection.pg = pg;
  connection.fd = PQsocket(pg.get());
  loop->Watch(connection.fd, true, false,
              [this, id](bool readable, bool writable) { OnReady(id, readable, writable); });
  Settle();
}

void SqlPool::Impl::Close(uint64_t id, bool cancel) {
  const auto it = connections.find(id);
  loop->Watch(it->second.fd, false, false, nullptr);
  std::shared_ptr<PGconn> pg = std::move(it->second.pg);
  connections.erase(it);
  ++closing;
  OnHelper([this, pg = std::move(pg), cancel]() mutable {
    if (cancel) {
      char why[256];
      PGcancel* request = PQgetCancel(pg.get());
      PQcancel(request, why, sizeof why);
      PQfreeCancel(request);
    }
    pg.reset();
    loop->Post([this] {
      --closing;
      Settle();
    });
  });
}

void SqlPool::Impl::Lose(uint64_t id, const std::string& why) {
  Connection& connection = connections.at(id);
  {
    MutexLock lock(&state_mu);
    ++state.lost;
    state.last_error = why;
  }
  if (connection.job.has_value()) {
    const bool may_have_happened =
        connection.phase == Phase::kCommit && !connection.job->transaction.read_only;
    Fail(connection, may_have_happened ? Kind::kUnknown : Kind::kMayPass,
         StrCat("the connection was lost: ", why));
    Finish(connection);
  }
  Close(id, false);
}

// ---- Transactions ----

void SqlPool::Impl::Pump() {
  for (auto& [id, connection] : connections) {
    if (queue.empty()) return;
    if (connection.phase != Phase::kIdle) continue;
    connection.job.emplace(std::move(queue.front()));
    queue.pop_front();
    // What cannot be sent is lost, and changes the map: once more then.
    const size_t before = connections.size();
    Begin(id, connection);
    if (connections.size() != before) return Pump();
  }
  while (queue.size() > opening && connections.size() + opening + closing < options.max_connections)
    Open();
}

bool SqlPool::Impl::Send(Connection& connection, const std::string& text,
                         const std::vector<std::optional<std::string>>& params) {
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const std::optional<std::string>& param : params) {
    values.push_back(param.has_value() ? param->c_str() : nullptr);
    lengths.push_back(param.has_value() ? static_cast<int>(param->size()) : 0);
  }
  return PQsendQueryParams(connection.pg.get(), text.c_str(), static_cast<int>(values.size()),
                           nullptr, values.data(), lengths.data(), nullptr, 0) == 1;
}

void SqlPool::Impl::Begin(uint64_t id, Connection& connection) {
  connection.phase = Phase::kStatements;
  connection.outcome = SqlOutcome();
  connection.result = SqlResult();
  connection.bytes = connection.answers = 0;
  bool sent = Send(connection, connection.job->transaction.begin, {});
  for (const SqlStatement& statement : connection.job->transaction.statements)
    sent = sent && Send(connection, statement.text, statement.params);
  if (!sent || PQpipelineSync(connection.pg.get()) != 1)
    return Lose(id, OneLine(PQerrorMessage(connection.pg.get())));
  Flush(id, connection);
}

// The next transaction must not find what this one set.
void SqlPool::Impl::Conclude(uint64_t id, Connection& connection, bool commit) {
  connection.phase = commit ? Phase::kCommit : Phase::kRollback;
  PGconn* pg = connection.pg.get();
  if (!Send(connection, commit ? "COMMIT" : "ROLLBACK", {}) || PQpipelineSync(pg) != 1 ||
      !Send(connection, "DISCARD ALL", {}) || PQpipelineSync(pg) != 1)
    return Lose(id, OneLine(PQerrorMessage(pg)));
  Flush(id, connection);
}

void SqlPool::Impl::Flush(uint64_t id, Connection& connection) {
  const int left = PQflush(connection.pg.get());
  if (left < 0) return Lose(id, OneLine(PQerrorMessage(connection.pg.get())));
  loop->Watch(connection.fd, true, left > 0, nullptr);
}

void SqlPool::Impl::OnReady(uint64_t id, bool readable, bool writable) {
  auto it = connections.find(id);
  if (it == connections.end()) return;
  if (readable && PQconsumeInput(it->second.pg.get()) != 1) {
    Read(id, it->second);  // What came before the end.
    if (connections.contains(id)) Lose(id, OneLine(PQerrorMessage(connections.at(id).pg.get())));
    return Settle();
  }
  if (writable) Flush(id, it->second);
  it = connections.find(id);
  if (it != connections.end()) Read(id, it->second);
  Settle();
}

void SqlPool::Impl::Read(uint64_t id, Connection& connection) {
  PGconn* pg = connection.pg.get();
  while (connections.contains(id) && connection.phase != Phase::kIdle && PQisBusy(pg) == 0) {
    PGresult* result = PQgetResult(pg);
    if (result == nullptr) {
      if (PQstatus(pg) == CONNECTION_BAD) return;
      // The end of one statement's results; those of the next come row by row.
      PQsetSingleRowMode(pg);
      continue;
    }
    const bool is_sync = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
    const bool goes_on = is_sync || Take(connection, result);
    PQclear(result);
    if (is_sync) OnSynced(id, connection);
    if (!goes_on) {
      Finish(connection);
      return Close(id, true);
    }
  }
}

// Returns: false if the connection has to be given up with its transaction.
bool SqlPool::Impl::Take(Connection& connection, PGresult* result) {
  switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_ABORTED: return true;  // After an error.
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK: break;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      Fail(connection, Kind::kRefused, "COPY is not possible here");
      return false;
    default: TakeError(connection, result); return true;
  }
  if (connection.phase != Phase::kStatements) return true;
  const ExecStatusType status = PQresultStatus(result);
  if (connection.answers > 0) {
    if (status != PGRES_COMMAND_OK) connection.result.AddRows(result);
    if (status != PGRES_SINGLE_TUPLE) {
      connection.outcome.results.push_back(connection.result.Finish(result));
      connection.bytes += connection.outcome.results.back().size();
    }
    if (const uint64_t most = connection.job->transaction.max_bytes;
        connection.bytes + connection.result.bytes() > most) {
      Fail(connection, Kind::kTooLarge, StrCat("the results have more than ", most, " bytes"));
      return false;
    }
  }
  if (status != PGRES_SINGLE_TUPLE) ++connection.answers;
  return true;
}

void SqlPool::Impl::TakeError(Connection& connection, const PGresult* result) {
  const std::string_view severity = Field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  const std::string_view sql_state = Field(result, PG_DIAG_SQLSTATE);
  Kind kind = MayPass(sql_state) ? Kind::kMayPass : Kind::kRefused;
  // A commit that is refused did not happen; one whose server goes away meanwhile may have.
  if (connection.phase == Phase::kCommit && severity != "ERROR" &&
      !connection.job->transaction.read_only)
    kind = Kind::kUnknown;
  std::string where;
  if (connection.phase == Phase::kStatements && connection.answers > 0 &&
      connection.job->transaction.statements.size() > 1)
    where = StrCat("statement ", connection.answers, ": ");
  Fail(connection, kind, where + CauseOf(result));
}

void SqlPool::Impl::OnSynced(uint64_t id, Connection& connection) {
  switch (connection.phase) {
    case Phase::kStatements:
      if (connection.outcome.cause.empty() &&
          PQtransactionStatus(connection.pg.get()) != PQTRANS_INTRANS)
        Fail(connection, Kind::kRefused, "a statement ended the transaction");
      return Conclude(id, connection, connection.outcome.cause.empty());
    case Phase::kCommit:
    case Phase::kRollback:
      Finish(connection);
      connection.phase = Phase::kClean;
      connection.outcome = SqlOutcome();
      return;
    case Phase::kClean:
      if (!connection.outcome.cause.empty()) return Close(id, false);
      connection.phase = Phase::kIdle;
      return;
    case Phase::kIdle: return;
  }
}

// The first cause counts.
void SqlPool::Impl::Fail(Connection& connection, Kind kind, std::string cause) {
  if (!connection.outcome.cause.empty()) return;
  connection.outcome.kind = kind;
  connection.outcome.cause = std::move(cause);
  connection.outcome.results.clear();
}

void SqlPool::Impl::Finish(Connection& connection) {
  Job job = *std::exchange(connection.job, std::nullopt);
  told.push_back({job.number, std::move(job.done), std::move(connection.outcome)});
}

// Ends each call of the loop.
void SqlPool::Impl::Settle() {
  Pump();
  {
    MutexLock lock(&state_mu);
    state.open = static_cast<uint32_t>(connections.size());
    state.busy = static_cast<uint32_t>(
        std::count_if(connections.begin(), connections.end(),
                      [](const auto& one) { return one.second.job.has_value(); }));
    state.waiting = static_cast<uint32_t>(queue.size());
  }
  while (!told.empty()) {
    Told next = std::move(told.front());
    told.pop_front();
    next.done(std::move(next.outcome));  // May start and stop others.
  }
}

// ---- The pool ----

SqlPool::SqlPool(EventLoop* loop, SqlPoolOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->loop = loop;
  impl_->options = std::move(options);
}

SqlPool::~SqlPool() {
  {
    MutexLock lock(&impl_->helper_mu);
    impl_->helper_stopping = true;
    impl_->helper_work.NotifyAll();
  }
  if (impl_->helper.joinable()) impl_->helper.join();
}

absl::Status SqlPool::Check(const std::string& database) {
  char* why = nullptr;
  PQconninfoOption* parsed = PQconninfoParse(database.c_str(), &why);
  const absl::Status status =
      parsed != nullptr ? absl::OkStatus()
                        : absl::InvalidArgumentError(OneLine(why == nullptr ? "no memory" : why));
  PQconninfoFree(parsed);
  PQfreemem(why);
  return status;
}

uint64_t SqlPool::Start(SqlTransaction transaction, std::function<void(SqlOutcome)> done) {
  const uint64_t number = impl_->next_number++;
  impl_->queue.push_back({number, std::move(transaction), std::move(done)});
  impl_->loop->Post([impl = impl_.get()] { impl->Settle(); });
  return number;
}

void SqlPool::Stop(uint64_t number) {
  const auto is_it = [number](const auto& one) { return one.number == number; };
  std::erase_if(impl_->queue, is_it);
  std::erase_if(impl_->told, is_it);
  for (auto& [id, connection] : impl_->connections) {
    if (!connection.job.has_value() || connection.job->number != number) continue;
    connection.job.reset();
    impl_->Close(id, true);
    break;
  }
  impl_->loop->Post([impl = impl_.get()] { impl->Settle(); });
}

SqlPoolState SqlPool::state() const {
  MutexLock lock(&impl_->state_mu);
  return impl_->state;
}

}  // namespace reeve
