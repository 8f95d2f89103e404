#include "tests/simulation/mutations.h"

namespace reeve::sim {

const std::vector<Mutation>& Mutations() {
  static const std::vector<Mutation> kAll = {
      {Bug::kAckBeforeCommit, "ack-before-commit"},
      {Bug::kNoFencing, "no-fencing"},
      {Bug::kNoDedupe, "no-dedupe"},
      {Bug::kRerunOnRestart, "rerun-on-restart"},
      {Bug::kResultAckBeforeCommit, "result-ack-before-commit"},
      {Bug::kWorkerNoResend, "worker-no-resend"},
      {Bug::kLeaseNeverExpires, "lease-never-expires"},
      {Bug::kFailureRecordNotPersisted, "failure-record-not-persisted"},
      {Bug::kNoReconcile, "no-reconcile"},
      {Bug::kStaleClearsNew, "stale-clears-new"},
      {Bug::kDuplicateHello, "duplicate-hello"},
      {Bug::kFrontierIgnored, "frontier-ignored"},
      {Bug::kFrontierLowered, "frontier-lowered"},
      {Bug::kRosterNotWritten, "roster-not-written"},
      {Bug::kRosterNotAwaited, "roster-not-awaited"},
      {Bug::kRepeatAckedAtOnce, "repeat-acked-at-once"},
      {Bug::kCancelNotWritten, "cancel-not-written"},
      {Bug::kAppendOffsetIgnored, "append-offset-ignored"},
      {Bug::kAssignedTwice, "assigned-twice"},
      {Bug::kFinishedNotNamed, "finished-not-named"},
      {Bug::kRecallOfRunning, "recall-of-running"},
      {Bug::kBatchNumbersKept, "batch-numbers-kept"},
      {Bug::kHelloNumberRises, "hello-number-rises"},
      {Bug::kFailureCountedTwice, "failure-counted-twice"},
      {Bug::kBirthIgnored, "birth-ignored"},
      {Bug::kCancelledNotEnded, "cancelled-not-ended"},
      {Bug::kNeighboursCharged, "neighbours-charged"},
      {Bug::kSoloIgnored, "solo-ignored"},
      {Bug::kSoloNotAlone, "solo-not-alone"},
      {Bug::kSoloForgottenByClaim, "solo-forgotten-by-claim"},
      {Bug::kSoloDeathIsSuspicion, "solo-death-is-suspicion"},
      {Bug::kShortRunsUnsuspected, "short-runs-unsuspected"},
      {Bug::kSuspicionsForgotten, "suspicions-forgotten"},
      {Bug::kDeathCountedTwice, "death-counted-twice"},
      {Bug::kCrashNoteForgotten, "crash-note-forgotten"},
      {Bug::kPoisonTriedForEver, "poison-tried-for-ever"},
      {Bug::kAtMostOnceRunAgain, "at-most-once-run-again"},
      {Bug::kAtMostOnceBeforeFrontier, "at-most-once-before-frontier"},
      {Bug::kEphemeralKept, "ephemeral-kept"},
      {Bug::kEphemeralUnbounded, "ephemeral-unbounded"},
      {Bug::kCreditIgnored, "credit-ignored"},
      {Bug::kQueueUnbounded, "queue-unbounded"},
      {Bug::kJobIdsNotReserved, "job-ids-not-reserved"},
      {Bug::kWallBackoff, "wall-backoff"},
      {Bug::kExclusiveLostEarly, "exclusive-lost-early"},
      {Bug::kLimitsNotAwaited, "limits-not-awaited"},
      {Bug::kJobLimitIgnored, "job-limit-ignored"},
      {Bug::kQueueLimitIgnored, "queue-limit-ignored"},
      {Bug::kKeyLimitIgnored, "key-limit-ignored"},
      {Bug::kRateIgnored, "rate-ignored"},
      {Bug::kNobodyAges, "nobody-ages"},
      {Bug::kTurnsIgnored, "turns-ignored"},
      {Bug::kResourcesIgnored, "resources-ignored"},
      {Bug::kDependencyIgnored, "dependency-ignored"},
      {Bug::kUnblockedBeforeCommit, "unblocked-before-commit"},
      {Bug::kPauseForgotten, "pause-forgotten"},
      {Bug::kPauseNotRestored, "pause-not-restored"},
      {Bug::kStopRulesIgnored, "stop-rules-ignored"},
      {Bug::kDeadlineIgnored, "deadline-ignored"},
      {Bug::kRetryRulesIgnored, "retry-rules-ignored"},
      {Bug::kOverlapIgnored, "overlap-ignored"},
      {Bug::kExclusiveGoesOn, "exclusive-goes-on"},
      {Bug::kExclusiveBeforeCommit, "exclusive-before-commit"},
      {Bug::kKeysForgotten, "keys-forgotten"},
      {Bug::kStaleInputsAdded, "stale-inputs-added"},
      {Bug::kNewInputsNotResent, "new-inputs-not-resent"},
      {Bug::kStaleCountsAdded, "stale-counts-added"},
      {Bug::kCountsNotResent, "counts-not-resent"},
      {Bug::kCountsNotLoaded, "counts-not-loaded"},
      {Bug::kDrainIgnored, "drain-ignored"},
      {Bug::kDrainNotWritten, "drain-not-written"},
      {Bug::kDrainNotRestored, "drain-not-restored"},
      {Bug::kDrainEndsWithProcess, "drain-ends-with-process"},
      {Bug::kDrainDropsWork, "drain-drops-work"},
      {Bug::kUndrainForgotten, "undrain-forgotten"},
      {Bug::kSelectedIgnored, "selected-ignored"},
      {Bug::kSelectedNotRestored, "selected-not-restored"},
      {Bug::kSourceForgotten, "source-forgotten"},
      {Bug::kDeleteUnfinished, "delete-unfinished"},
      {Bug::kDeleteNeeded, "delete-needed"},
      {Bug::kDeleteNotWritten, "delete-not-written"},
      {Bug::kDeletionForgotten, "deletion-forgotten"},
      {Bug::kSharedInputsUnbounded, "shared-inputs-unbounded"},
      {Bug::kGroupUnbounded, "group-unbounded"},
      {Bug::kQueueDeletionNotWritten, "queue-deletion-not-written"},
      {Bug::kQueueOutlivesDeletion, "queue-outlives-deletion"},
      {Bug::kQueueInUseDeleted, "queue-in-use-deleted"},
      {Bug::kOwnerUnbounded, "owner-unbounded"},
      {Bug::kOwnerForgotten, "owner-forgotten"},
      {Bug::kOwnerTurnsIgnored, "owner-turns-ignored"}};
  return kAll;
}

std::optional<Mutation> FindMutation(std::string_view name) {
  for (const Mutation& mutation : Mutations()) {
    if (name == mutation.name) return mutation;
  }
  return std::nullopt;
}

BatchResult Hunt(const Mutation& mutation, uint64_t limit) {
  planted_bug = mutation.bug;
  BatchResult result = RunSeeds(1, limit, Modes::kBoth);
  planted_bug = Bug::kNone;
  return result;
}

}  // namespace reeve::sim
