public import Entities

/// What a listener has done since it started: plain counts, kept by each event loop for itself and added up when asked.
public struct HTTPCounters: Sendable {
    /// What a request was for. Batch lines are counted one by one beside the batch that carried them.
    public enum Route: Int, Sendable, CaseIterable {
        case get, head, put, patch, delete, outcome, list, batch, batchLine, admin
        /// No known path or method, or no readable head.
        case other
    }

    /// Why a connection or a request was given up.
    public enum Timeout: Int, Sendable, CaseIterable {
        case header, body, idle, stalledResponse, request
    }

    private static let statusClasses = 6
    private var requests = [UInt64](repeating: 0, count: Route.allCases.count * statusClasses)
    private var refusals = [UInt64](repeating: 0, count: ProblemCode.allCases.count)
    private var timeouts = [UInt64](repeating: 0, count: Timeout.allCases.count)

    public internal(set) var bytesIn: UInt64 = 0
    public internal(set) var bytesOut: UInt64 = 0
    public internal(set) var connectionsAccepted: UInt64 = 0
    public internal(set) var connectionsClosed: UInt64 = 0
    /// Connections that were over the limit and got a 503 at once; counted in `connectionsAccepted` too.
    public internal(set) var connectionsRefused: UInt64 = 0

    public init() {}

    /// Answers to `route` whose status is in `statusClass` (2 for 2xx and so on).
    public func answered(_ route: Route, statusClass: Int) -> UInt64 {
        requests[route.rawValue * Self.statusClasses + statusClass]
    }

    public func refused(_ code: ProblemCode) -> UInt64 { refusals[Int(code.rawValue)] }

    public func timedOut(_ timeout: Timeout) -> UInt64 { timeouts[timeout.rawValue] }

    mutating func count(_ route: Route, status: Int) {
        requests[route.rawValue * Self.statusClasses + min(status / 100, Self.statusClasses - 1)] &+= 1
    }

    mutating func count(_ code: ProblemCode) { refusals[Int(code.rawValue)] &+= 1 }

    mutating func count(_ timeout: Timeout) { timeouts[timeout.rawValue] &+= 1 }

    /// Adds what another loop counted.
    public mutating func add(_ other: HTTPCounters) {
        for index in requests.indices { requests[index] &+= other.requests[index] }
        for index in refusals.indices { refusals[index] &+= other.refusals[index] }
        for index in timeouts.indices { timeouts[index] &+= other.timeouts[index] }
        bytesIn &+= other.bytesIn
        bytesOut &+= other.bytesOut
        connectionsAccepted &+= other.connectionsAccepted
        connectionsClosed &+= other.connectionsClosed
        connectionsRefused &+= other.connectionsRefused
    }
}
