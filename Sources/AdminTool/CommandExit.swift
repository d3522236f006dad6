import KeysteadClient

/// How the command ends, for scripts. The numbers are the contract's.
public enum CommandExit: Int32, Sendable {
    /// Done and verified, or nothing to do.
    case done = 0
    case failed = 1
    case usage = 2
    case refused = 3
    /// A precondition failed, a plan was stale, something changed meanwhile.
    case conflict = 4
    /// Timed out: the outcome is unknown, or the operation goes on.
    case unknownOutcome = 5
    /// `status --check` found the cluster not healthy.
    case unhealthy = 6
    case unreachable = 7
    case notFound = 8
    case interrupted = 130

    /// Whether it may have happened comes before why it failed.
    init(_ error: KeysteadError) {
        switch error.code {
        case .cancelled: self = .interrupted
        case _ where error.applied == .unknown: self = .unknownOutcome
        // Whether the node cannot be reached or, behind it, what it needs to change anything.
        case .unreachable, .connectionLost, .deadlineExceeded, .metadataUnavailable: self = .unreachable
        case .invalidRequest: self = .usage
        case .refused: self = .refused
        case .stalePlan, .concurrentChange: self = .conflict
        default:
            switch error.status {
            case 404: self = .notFound
            case 412: self = .conflict
            case 400, 403, 409, 413, 414, 415, 421, 422, 431: self = .refused
            default: self = .failed
            }
        }
    }
}

/// Ends a command with a message and a status.
struct CommandFailure: Error, Sendable {
    let status: CommandExit
    /// `nil` where everything has been said.
    let message: String?

    init(_ status: CommandExit, _ message: String?) {
        self.status = status
        self.message = message
    }

    /// Of a command that changes nothing.
    init(_ error: KeysteadError) { self.init(error, ifUnknown: "look before you try again") }

    /// - Parameter ifUnknown: what to do where it may or may not have happened.
    init(_ error: KeysteadError, ifUnknown: String) {
        self.init(CommandExit(error), Self.message(error, ifUnknown))
    }

    private static func message(_ error: KeysteadError, _ ifUnknown: String) -> String {
        var text = "\(error.code): \(error.detail)"
        switch (error.code, error.applied, error.retry) {
        case (_, .unknown, _): text += "; it may or may not have happened: \(ifUnknown)"
        case (.unreachable, _, _): text += "; no request was sent"
        case (_, .no, .safe): text += "; nothing was done, try again"
        default: break
        }
        return text
    }
}
