/// Everything that a simulation does to the system on purpose. A seed switches whole kinds on and off (swarm): a fault
/// that is always on hides what another would show.
public enum Fault: UInt8, CaseIterable, Sendable {
    case packetDelay, packetLoss, packetDuplicate, packetReorder, oneWayCut, fullCut, clog
    case crash, crashDuringRecovery, crashLosesWrites, crashTearsWrite, crashLosesNames, gracefulRestart
    case readError, writeError, syncError, shortWrite, diskFull, slowDisk, hungDisk
    case bitFlip, misdirectedWrite
    case wallClockJump, clockDrift, pause
    case storeReadError, storeFlushError, cacheMiss
    case lateRetry
    // Of clusters only.
    case metadataOutage, metadataUnknown, metadataCompaction, peerCut, chunkDamaged, incomingRot, staleCopy
    case moveCancelledByOperator
    /// A node is away for longer than its session lasts, and comes back; or stays away for good.
    case longAbsence, leftDead

    /// Those that a node alone can meet.
    static let ofOneNode = allCases.filter { $0.rawValue <= Fault.lateRetry.rawValue }
    static let ofClusters = allCases.filter { $0.rawValue > Fault.lateRetry.rawValue }
    /// What the atlas of rotten places does is for a node alone.
    static let notOfClusters: [Fault] = [.bitFlip, .misdirectedWrite]

    public var name: String { "\(self)" }
}

/// A set of faults.
public struct FaultSet: Sendable, Equatable {
    public private(set) var bits: UInt64 = 0

    public static let none = FaultSet()
    public static let all = FaultSet(Fault.allCases)

    public init(_ faults: [Fault] = []) { for fault in faults { insert(fault) } }
    public init(bits: UInt64) { self.bits = bits }

    public func contains(_ fault: Fault) -> Bool { bits & (1 << UInt64(fault.rawValue)) != 0 }
    public mutating func insert(_ fault: Fault) { bits |= 1 << UInt64(fault.rawValue) }
    public mutating func remove(_ fault: Fault) { bits &= ~(1 << UInt64(fault.rawValue)) }
    public var members: [Fault] { Fault.allCases.filter(contains) }
}

/// Counts faults drawn, and those of them that changed something. A harness that injects nothing must not pass.
public final class FaultLedger {
    public private(set) var drawn = [Int](repeating: 0, count: Fault.allCases.count)
    public private(set) var effective = [Int](repeating: 0, count: Fault.allCases.count)

    func draw(_ fault: Fault) { drawn[Int(fault.rawValue)] += 1 }
    func took(_ fault: Fault) { effective[Int(fault.rawValue)] += 1 }

    /// A fault that takes effect as it is drawn.
    func hit(_ fault: Fault) {
        draw(fault)
        took(fault)
    }
}

/// Rare places that a long swarm must have been at.
public enum Probe: UInt8, CaseIterable, Sendable {
    case fetchedFromDisk, severalUpdatesInOneGroup, groupRefused, queueItemsFull, queueBytesFull
    case queueTooOld, idempotentReplay, idempotencyMismatch, duplicateRequestSeen
    case tornTailCut, namesLostInCrash, replayedAtStart, crashedInRecovery, segmentRecycled
    case corruptionDetected, diskFullAnswered, processEndedOnLogError, storeUnreadable
    case storeFlushFailed, expiredSeen, rewoundWallClock, pausedMidGroup, unknownOutcomeTookEffect
    case unknownOutcomeDidNot, deletedAndCreatedAgain, pageResumed, outcomeRead, versionConflict, waitedForTurn
    case evaluatedOffTheLoop, groupKept
    case idleStart, clockRefused, drained
    // Of clusters only.
    case forwarded, notOwner, sentOn, forwardLost, handedOver, handoverUnknown, thawed, moveCancelled, copyInstalled
    case settledAtStart, copyResumed, restartAsked, begunAgain

    static let ofOneNode = allCases.filter { $0.rawValue <= Probe.drained.rawValue }
    static let ofClusters = allCases.filter { $0.rawValue > Probe.drained.rawValue }
    /// Lists are asked of a node alone.
    static let notOfClusters: [Probe] = [.pageResumed, .corruptionDetected]

    public var name: String { "\(self)" }
}

public final class Probes {
    public private(set) var counts = [Int](repeating: 0, count: Probe.allCases.count)

    func reached(_ probe: Probe) { counts[Int(probe.rawValue)] += 1 }
}
