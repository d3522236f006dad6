/// Who saw what must not be.
public enum Checker: UInt8, CaseIterable, Sendable {
    case acknowledgedWriteLost
    case effectivelyOnce
    case linearizability
    case refereeDisagrees
    case answerMatchesLog
    case definiteRefusal
    case effectMatchesOperation
    case versionsNeverReused
    case logMatching
    case appliedWithinCommitted
    case recycledTooEarly
    case queueWithinLimits
    case recoveryIdempotent
    case corruptionServed
    case soundLogRefused
    case expiry
    case counter
    case list
    case liveness
    case faultsTookEffect
    case dataTime
    case removedTooEarly
    // Of clusters only.
    case oneOwner
    case oneHop
    case startRefused
    case staleCopyStarted
    case movesEnd
    case heldAnswered
    case minimalMovement
    case operationsEnd

    public var name: String { "\(self)" }
}

public struct Violation: Sendable {
    public let checker: Checker
    public let detail: String
    /// Virtual nanoseconds.
    public let time: UInt64
    public let step: UInt64
}
