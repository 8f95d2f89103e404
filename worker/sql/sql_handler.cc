#include "worker/sql/sql_handler.h"

#include "base/error.h"
#include "base/ids.h"
#include "base/strings.h"
#include "worker/async/backoff.h"
#include "worker/sql/sql_record.h"

namespace reeve {
namespace {

using Kind = SqlOutcome::Kind;

constexpr absl::Duration kFirstBackoff = absl::Milliseconds(200);
constexpr absl::Duration kLongestBackoff = absl::Seconds(10);

Awaited<SqlOutcome> Transact(AsyncContext& task, SqlPool* pool, const SqlTransaction& transaction) {
  return task.Await<SqlOutcome>([pool, transaction](Awaited<SqlOutcome>::Done done) {
    const uint64_t number = pool->Start(transaction, std::move(done));
    return std::function<void()>([pool, number] { pool->Stop(number); });
  });
}

absl::Status Failure(const SqlOutcome& outcome, uint32_t tries) {
  const std::string message =
      StrCat("sql: ", outcome.cause, tries > 1 ? StrCat(" (", tries, " tries)") : "");
  switch (outcome.kind) {
    // Attempts of the job come on top of the tries: nothing happened.
    case Kind::kMayPass: return absl::UnavailableError(message);
    case Kind::kTooLarge:
      return MakeError(absl::StatusCode::kFailedPrecondition, ToString(Reason::kResultTooLarge),
                       message);
    case Kind::kUnknown:
      return absl::InvalidArgumentError(
          StrCat(message, " while it committed: whether it did is not known"));
    case Kind::kCommitted:
    case Kind::kRefused: break;
  }
  return absl::InvalidArgumentError(message);
}

Async<absl::StatusOr<std::string>> RunSql(AsyncContext* task, std::string input,
                                          const SqlPools* pools) {
  const auto order = ParseSqlOrder(input, task->params());
  if (!order.ok()) co_return order.status();
  SqlPool* pool = nullptr;
  for (const auto& [name, candidate] : *pools) {
    if (pool == nullptr && (order->database.empty() || order->database == name))
      pool = candidate.get();
  }
  if (pool == nullptr)
    co_return absl::InvalidArgumentError(
        StrCat("sql: this worker has no database `", order->database, "`"));
  for (uint32_t tries = 1;; ++tries) {
    const SqlOutcome outcome = co_await Transact(*task, pool, order->transaction);
    if (outcome.kind == Kind::kCommitted) co_return SqlTaskResult(*order, outcome.results);
    if (outcome.kind != Kind::kMayPass || tries >= order->tries) co_return Failure(outcome, tries);
    co_await task->Sleep(Backoff(kFirstBackoff, kLongestBackoff, *task, tries));
  }
}

}  // namespace

AsyncHandler MakeSqlHandler(const SqlPools* pools) {
  return [pools](AsyncContext& task, std::string input) {
    return RunSql(&task, std::move(input), pools);
  };
}

}  // namespace reeve
