/// Everything that a run depends on. Two runs with equal configurations ask for the same operations.
public struct LoadConfiguration: Sendable {
    /// When a run ends.
    public enum Extent: Sendable, Equatable {
        /// After this many operations were completed, over all connections.
        case operations(Int)
        /// After this many seconds of measuring.
        case seconds(Double)
    }

    public var host = "127.0.0.1"
    public var port = 7070
    public var dialect = Dialect.keystead
    public var workload = Workload.a
    /// `nil` takes the workload's own.
    public var distribution: KeyDistribution?
    public var hotUpdate = HotUpdate.increment
    /// Entities that the load phase writes and the run draws from.
    public var records = 10_000
    public var valueBytes = 1024
    public var connections = 64
    /// Event loops, each a thread. One is enough for the servers it was measured with; see `Bench/README.md`.
    public var loops = 1
    /// Operations a second over all connections, sent on a fixed schedule whatever the answers do (open loop): latency
    /// counts from the time an operation was due. `nil` is a closed loop: each connection asks again when it is
    /// answered.
    public var rate: Double?
    public var extent = Extent.seconds(10)
    /// Seconds of the same load before measuring starts.
    public var warmupSeconds = 0.0
    /// Whether the records are written first.
    public var loadsRecords = true
    /// Ends after the load phase, which is then what the report is about.
    public var loadsOnly = false
    public var seed: UInt64 = 1
    /// The kind of the entities (Keystead), or the prefix of the keys.
    public var kind = "bench"
    /// One read in this many has its whole content compared; the length of every one is.
    public var verifyEvery = 16
    /// A request that is not answered after this long is an error, and its connection is opened anew.
    public var timeoutSeconds = 30.0

    public init() {}

    /// Bounds of what a run may ask for.
    public enum Bounds {
        public static let records = 1...1_000_000_000
        public static let valueBytes = 0...(16 << 20)
        public static let connections = 1...10_000
        public static let loops = 1...64
        public static let seconds = 0.1...86_400.0
        public static let rate = 1.0...10_000_000.0
    }

    /// Refuses what cannot be run, with a reason to show.
    public func validate() throws(LoadError) {
        try require(Bounds.records.contains(records), "records", "\(Bounds.records)")
        try require(Bounds.valueBytes.contains(valueBytes), "value-bytes", "\(Bounds.valueBytes)")
        try require(Bounds.connections.contains(connections), "connections", "\(Bounds.connections)")
        try require(
            Bounds.loops.contains(loops) && loops <= connections, "loops", "\(Bounds.loops), at most connections")
        try require(rate.map(Bounds.rate.contains) ?? true, "rate", "\(Bounds.rate) operations a second")
        try require(verifyEvery >= 1, "verify-every", "at least 1")
        try require(warmupSeconds >= 0 && warmupSeconds <= Bounds.seconds.upperBound, "warmup", "0 to 86400 seconds")
        try require(timeoutSeconds >= 0.1 && timeoutSeconds <= 3600, "timeout", "0.1 to 3600 seconds")
        switch extent {
        case .operations(let count): try require(count >= 1, "operations", "at least 1")
        case .seconds(let seconds):
            try require(Bounds.seconds.contains(seconds), "duration", "\(Bounds.seconds) seconds")
        }
        try requireWorkloadFits()
    }

    private func requireWorkloadFits() throws(LoadError) {
        switch dialect {
        case .fixed:
            let fits = [.get, .put, .a, .b, .c].contains(workload) || (workload == .hot && hotUpdate == .put)
            try require(fits, "workload", "get, put, a, b, c or hot by put, where the server has one fixed answer")
        case .etcd:
            try require(
                workload != .hot || hotUpdate == .put, "hot-update", "put: etcd has no increment")
        case .keystead, .redis, .webdis:
            break
        }
    }

    private func require(_ holds: Bool, _ option: String, _ bounds: String) throws(LoadError) {
        if !holds { throw LoadError.badOption(name: option, allowed: bounds) }
    }

    var keyDistribution: KeyDistribution { distribution ?? workload.defaultDistribution }
    var isCounter: Bool { workload == .hot && hotUpdate == .increment }
    /// `hot` needs no more than its one entity.
    var recordsToLoad: Int { workload == .hot ? 1 : records }
}

/// Why there is no report.
public enum LoadError: Error, Sendable, Equatable, CustomStringConvertible {
    /// An option is outside its bounds; nothing was sent.
    case badOption(name: String, allowed: String)
    /// No connection could be opened, all of them were lost and could not be opened again, or none was ever answered.
    case unreachable(String)
    /// A record of the load phase was refused, so a run would measure something else.
    case loadFailed(String)

    public var description: String {
        switch self {
        case .badOption(let name, let allowed): "\(name) must be \(allowed)"
        case .unreachable(let reason): "cannot reach the server: \(reason)"
        case .loadFailed(let reason): "the records could not be loaded: \(reason)"
        }
    }
}
