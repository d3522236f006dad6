/// A planted bug. The harness is graded too: each of these, switched on by itself, must be caught by the simulator.
///
/// Production builds contain none of them: without the compile flag `KEYSTEAD_MUTANTS`, ``Mutants/has(_:)`` is the
/// constant `false` and the optimiser removes each branch.
public enum Mutant: UInt8, CaseIterable, Sendable {
    // The log.
    case acknowledgeBeforeSync
    case cutBelowDurableLSN
    case corruptionTakenForTornTail
    case tornTailTakenForCorruption
    case recycledSegmentReplayed
    case recycleByAppliedNotFlushed
    case syncErrorRetried
    case directorySyncSkipped
    // The store.
    case appliedPositionOutsideBatch
    // The shard.
    case idempotencyRowOutsideBatch
    case idempotencyAfterPrecondition
    case versionResetOnDelete
    case overlayIgnored
    case answerBeforeApply
    case expiryByJumpingClock
    case refusalNotGated
    case parkedOrderLost
    case waitingOrderLost
    case staleResultUsed
    // The clocks.
    case idleStartMovesTime
    case removalWithoutWaiting
    // The move of a shard.
    case freezeDropsQueue
    case handoverWithoutStoppingReads
    case resumeWithoutChecking
    case handoverBeforeTargetDurable
    case teeGapIgnored
    case restartWithoutReadingOwner
    // The cluster.
    case controllerActsWithoutComparing
    case handoverWithoutEpochRaise
    case forwardedTwice
    case staleMapForwarded
    case refusalAfterLoss
    case targetServesUnread
    case startActsUnsettled
    case bootCountIgnored
    case idempotencyRowsLeftBehind
    case controllerWaitsForTheDead

    /// Only a cluster of several nodes can show it.
    public var needsCluster: Bool { rawValue >= Mutant.freezeDropsQueue.rawValue }
}

/// The mutants that are switched on: none, outside the simulator.
public struct Mutants: Sendable {
    public static let none = Mutants()

    #if KEYSTEAD_MUTANTS
        private var active: UInt64 = 0

        public init(_ mutants: [Mutant] = []) {
            for mutant in mutants { active |= 1 << UInt64(mutant.rawValue) }
        }

        public func has(_ mutant: Mutant) -> Bool { active & (1 << UInt64(mutant.rawValue)) != 0 }
    #else
        public init() {}

        @inlinable @inline(__always)
        public func has(_ mutant: Mutant) -> Bool { false }
    #endif
}
