// Switches that plant a bug, so that the simulation can show that it would find it.
//
// In every ordinary build REEVE_BUG(name) is the constant false and costs nothing. The simulation
// builds the scheduler and the agent a second time with REEVE_BUGS defined; then it is true for the
// one bug that is planted.

#ifndef REEVE_BASE_BUG_H_
#define REEVE_BASE_BUG_H_

#include <cstdint>

namespace reeve {

enum class Bug : uint8_t {
  kNone,
  kAckBeforeCommit,
  kNoFencing,
  kNoDedupe,
  kRerunOnRestart,
  kResultAckBeforeCommit,
  kWorkerNoResend,
  kLeaseNeverExpires,
  kFailureRecordNotPersisted,
  kNoReconcile,
  kStaleClearsNew,
  kDuplicateHello,
  kFrontierIgnored,
  kFrontierLowered,
  kRosterNotWritten,
  kRosterNotAwaited,
  kRepeatAckedAtOnce,
  kCancelNotWritten,
  kAppendOffsetIgnored,
  kAssignedTwice,
  kFinishedNotNamed,
  kRecallOfRunning,
  kBatchNumbersKept,
  kHelloNumberRises,
  kFailureCountedTwice,
  kBirthIgnored,
  kCancelledNotEnded,
  kNeighboursCharged,
  kSoloIgnored,
  kSoloNotAlone,
  kSoloForgottenByClaim,
  kSoloDeathIsSuspicion,
  kShortRunsUnsuspected,
  kSuspicionsForgotten,
  kDeathCountedTwice,
  kCrashNoteForgotten,
  kPoisonTriedForEver,
  kAtMostOnceRunAgain,
  kAtMostOnceBeforeFrontier,
  kEphemeralKept,
  kEphemeralUnbounded,
  kCreditIgnored,
  kQueueUnbounded,
  kJobIdsNotReserved,
  kWallBackoff,
  kExclusiveLostEarly,
  kLimitsNotAwaited,
  kJobLimitIgnored,
  kQueueLimitIgnored,
  kKeyLimitIgnored,
  kRateIgnored,
  kNobodyAges,
  kTurnsIgnored,
  kResourcesIgnored,
  kDependencyIgnored,
  kUnblockedBeforeCommit,
  kPauseForgotten,
  kPauseNotRestored,
  kStopRulesIgnored,
  kDeadlineIgnored,
  kRetryRulesIgnored,
  kOverlapIgnored,
  kExclusiveGoesOn,
  kExclusiveBeforeCommit,
  kKeysForgotten,
  kStaleInputsAdded,
  kNewInputsNotResent,
  kStaleCountsAdded,
  kCountsNotResent,
  kCountsNotLoaded,
  kDrainIgnored,
  kDrainNotWritten,
  kDrainNotRestored,
  kDrainEndsWithProcess,
  kDrainDropsWork,
  kUndrainForgotten,
  kSelectedIgnored,
  kSelectedNotRestored,
  kSourceForgotten,
  kDeleteUnfinished,
  kDeleteNeeded,
  kDeleteNotWritten,
  kDeletionForgotten,
  kSharedInputsUnbounded,
  kGroupUnbounded,
  kQueueDeletionNotWritten,
  kQueueOutlivesDeletion,
  kQueueInUseDeleted,
  kOwnerUnbounded,
  kOwnerForgotten,
  kOwnerTurnsIgnored,
  kCount,
};

// Set before a run and not changed within. Defined where bugs can be planted.
extern Bug planted_bug;

}  // namespace reeve

#ifdef REEVE_BUGS
#define REEVE_BUG(name) (::reeve::planted_bug == ::reeve::Bug::name)
#else
#define REEVE_BUG(name) false
#endif

#endif  // REEVE_BASE_BUG_H_
