import Primitives

/// Which node owns which shard, as a picture of the cluster told it. Pure.
struct RouteTable: Sendable {
    let mapRevision: UInt64
    private let seed: UInt64
    /// By shard: the base URL of its owner's data listener; `nil` where there is nobody to go to.
    private let owners: [String?]

    /// `nil` where the picture does not say how keys become shards, or says it in a way that this client does not know,
    /// or where it may be of another cluster: an address like `127.0.0.1:7070` is some node's in many of them. So one
    /// of the client's own endpoints must be in it.
    init?(_ picture: ClusterPicture, endpoints: [String]) {
        guard let ring = picture.ring, ring.hash == "xxh64", ring.shards == UInt64(picture.shards.count),
            (1...UInt64(Limits.shardsMax)).contains(ring.shards), ring.shards.nonzeroBitCount == 1
        else { return nil }
        let own = Set(endpoints.map(Self.authority))
        guard picture.nodes.contains(where: { own.contains(Self.authority($0.listen)) }) else { return nil }
        let scheme = endpoints[0].hasPrefix("https://") ? "https" : "http"
        var urls: [String: String] = [:]
        for node in picture.nodes where Self.canBeReached(node) { urls[node.id] = "\(scheme)://\(node.listen)" }
        var owners = [String?](repeating: nil, count: picture.shards.count)
        for shard in picture.shards {
            guard shard.shard < ring.shards else { return nil }
            owners[Int(shard.shard)] = shard.primary.flatMap { urls[$0] }
        }
        self.mapRevision = picture.mapRevision
        self.seed = ring.seed
        self.owners = owners
    }

    /// `HOST:PORT` of a URL or of itself.
    private static func authority(_ url: String) -> String {
        let text = (url.split(separator: "://", maxSplits: 1).last ?? "").prefix { $0 != "/" }
        return text.hasPrefix("localhost:") ? "127.0.0.1" + text.dropFirst("localhost".count) : String(text)
    }

    /// An address that means "every interface of mine" leads nowhere from outside.
    private static func canBeReached(_ node: ClusterPicture.Node) -> Bool {
        guard let colon = node.listen.lastIndex(of: ":"), colon > node.listen.startIndex else { return false }
        let host = node.listen[..<colon]
        return host != "0.0.0.0" && host != "[::]" && node.state != "down" && node.state != "removed"
    }

    func shard(of key: EntityKey) -> Int {
        let hash = XXH64.hash(Array(key.description.utf8), seed: seed)
        return Int(hash.multipliedFullWidth(by: UInt64(owners.count)).high)
    }

    func owner(of key: EntityKey) -> String? { owners[shard(of: key)] }
}

/// When to ask for the map again, and which owners to keep away from. Pure: times are arguments, from one clock.
struct RouteMachine: Sendable {
    typealias Instant = ContinuousClock.Instant

    /// A map older than this is asked for again when it is next used.
    static let mapAgeMax = Duration.seconds(10)
    static let refreshIntervalMin = Duration.seconds(1)
    /// How long an owner that failed is kept away from; doubles with each failure in a row.
    struct Avoidance: Sendable {
        var min = Duration.seconds(1)
        var max = Duration.seconds(30)
    }

    private let avoidance: Avoidance
    private(set) var table: RouteTable?
    private var isDoubted = false
    private var asked: Instant?
    private var isAsking = false
    private var failures: [String: (count: Int, until: Instant)] = [:]

    init(avoidance: Avoidance = Avoidance()) { self.avoidance = avoidance }

    /// The owner to send a key's request to; `nil` where any node is as good.
    func owner(of key: EntityKey, now: Instant) -> String? {
        guard let owner = table?.owner(of: key) else { return nil }
        if let failure = failures[owner], now < failure.until { return nil }
        return owner
    }

    /// Whether it is time to ask for the map. Whoever is told so asks, and says ``answered(_:)``.
    mutating func shouldAsk(now: Instant) -> Bool {
        guard !isAsking else { return false }
        if let asked {
            let age = now - asked
            guard age >= Self.mapAgeMax || age >= Self.refreshIntervalMin && (isDoubted || table == nil) else {
                return false
            }
        }
        isAsking = true
        asked = now
        return true
    }

    /// - Parameter newer: what came of asking; `nil` leaves the map as it is.
    mutating func answered(_ newer: RouteTable?) {
        isAsking = false
        guard let newer else { return }
        isDoubted = false
        // Nodes learn of a change one after the other: one that is behind must not take back what another has told.
        if let table, newer.mapRevision < table.mapRevision { return }
        table = newer
    }

    /// A request to `endpoint` failed in a way that another endpoint may not, or the owner said that it cannot serve.
    mutating func doubt(_ endpoint: String, avoid: Bool, now: Instant) {
        isDoubted = true
        guard avoid else { return }
        let count = failures[endpoint, default: (0, now)].count
        let time = min(avoidance.min * (1 << min(count, 10)), avoidance.max)
        failures[endpoint] = (count + 1, now + time)
    }

    mutating func worked(_ endpoint: String) {
        if !failures.isEmpty { failures[endpoint] = nil }
    }
}
