/// What is asked of the server. The letters are those of YCSB (Cooper et al., "Benchmarking Cloud Serving Systems with
/// YCSB", SoCC 2010), with its shares and its distributions.
public enum Workload: String, Sendable, CaseIterable {
    /// Half reads, half blind updates; zipfian.
    case a
    /// 95 % reads, 5 % blind updates; zipfian.
    case b
    /// Reads only; zipfian.
    case c
    /// 95 % reads of what was inserted last, 5 % inserts.
    case d
    /// Half reads, half read-modify-writes under a precondition where the protocol has one; zipfian.
    case f
    /// Every operation updates the one and same entity.
    case hot
    /// Blind updates only; uniform.
    case put
    /// Reads only; uniform.
    case get

    /// The distribution that the workload is defined with.
    public var defaultDistribution: KeyDistribution {
        switch self {
        case .a, .b, .c, .f: .zipfian
        case .d: .latest
        case .hot, .put, .get: .uniform
        }
    }

    /// Operations out of a hundred that only read.
    var readPercent: UInt64 {
        switch self {
        case .a, .f: 50
        case .b, .d: 95
        case .c, .get: 100
        case .hot, .put: 0
        }
    }
}

/// How `hot` updates its entity.
public enum HotUpdate: String, Sendable, CaseIterable {
    /// Adds one on the server (`PATCH` with an update document, `INCR`). The end of the run reads the counter back.
    case increment
    /// Replaces the whole state.
    case put
}

/// Which keys are drawn.
public enum KeyDistribution: String, Sendable, CaseIterable {
    case uniform
    /// YCSB's scrambled zipfian with constant 0.99: a few keys are drawn often, and they lie anywhere.
    case zipfian
    /// Zipfian by age: the keys inserted last are drawn most.
    case latest
}

/// Whom the generator speaks to.
public enum Dialect: Sendable, Equatable {
    /// Keystead's entities over HTTP/1.1.
    case keystead
    /// RESP2: GET, SET, INCR.
    case redis
    /// Redis over HTTP/1.1.
    case webdis
    /// etcd's v3 JSON gateway over HTTP/1.1.
    case etcd
    /// One path of any HTTP/1.1 server, which is read with GET and written with PUT. Only status and length of its
    /// answers can be verified: what it stores is not ours.
    case fixed(path: String)

    /// The name in reports.
    public var name: String {
        switch self {
        case .keystead: "keystead"
        case .redis: "redis"
        case .webdis: "webdis"
        case .etcd: "etcd"
        case .fixed: "fixed"
        }
    }

    /// Whether the server keeps the states that the generator wrote, so that reads can be compared with them.
    var keepsStates: Bool {
        if case .fixed = self { false } else { true }
    }
}

/// The kind of one operation: what latencies are grouped by.
public enum OperationKind: Int, Sendable, CaseIterable {
    case read
    case update
    case insert
    case readModifyWrite
    case increment

    /// The name in reports.
    public var name: String {
        switch self {
        case .read: "read"
        case .update: "update"
        case .insert: "insert"
        case .readModifyWrite: "read-modify-write"
        case .increment: "increment"
        }
    }
}
