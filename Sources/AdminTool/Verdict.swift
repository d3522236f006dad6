import KeysteadClient

/// What `status` says first, and why. Pure.
struct Verdict: Equatable {
    enum Word: String {
        /// Every shard serves, every node is up, nothing waits for an operator.
        case healthy = "HEALTHY"
        /// Entities are served, but not all of them, or something is wrong that will show.
        case degraded = "DEGRADED"
        /// No entity is served.
        case unavailable = "UNAVAILABLE"
    }

    let word: Word
    /// At least one for anything but healthy.
    let reasons: [String]

    private init(_ word: Word, _ reasons: [String]) {
        self.word = word
        self.reasons = reasons
    }

    /// No admin endpoint answered.
    init(unreachable error: KeysteadError) { self.init(.unavailable, [error.detail]) }

    init(_ picture: ClusterPicture, _ readiness: Readiness) {
        let asked = picture.nodes.count > 1 ? "the node asked" : "the node"
        var reasons = readiness.isReady ? [] : readiness.reasons.map { "\(asked) is not ready: \($0)" }
        if !readiness.isReady, reasons.isEmpty { reasons = ["\(asked) is not ready"] }
        let troubled = picture.shards.filter { !Self.isWell($0) }
        for (state, shards) in Self.groups(troubled) {
            let noun = shards.count == 1 ? "shard" : "shards"
            reasons.append("\(noun) \(Self.runs(shards)) \(shards.count == 1 ? "is" : "are") \(state)")
        }
        reasons += picture.nodes.filter { $0.state == "down" }.map { "node \($0.id) is down" }
        reasons += Self.failures(picture.operations).map { "operation \($0.id) (\($0.kind)) failed" }
        if let storage = picture.text.member("storage")?.string, storage != "ok" {
            reasons.append("storage is \(storage): reads go on, writes wait for space")
        }
        let servesNothing = picture.shards.isEmpty || !picture.shards.contains(where: Self.serves)
        if servesNothing, reasons.isEmpty { reasons = ["the cluster has no shards"] }
        self.init(reasons.isEmpty ? .healthy : servesNothing ? .unavailable : .degraded, reasons)
    }

    /// Whether the shard takes requests as it should. One that moves does.
    static func isWell(_ shard: ClusterPicture.Shard) -> Bool {
        shard.primary != nil && (shard.state == "serving" || shard.state == "moving")
    }

    /// Operations that failed and have not been tried again since: a later one of the kind makes up for them.
    private static func failures(_ operations: [ClusterPicture.Operation]) -> [ClusterPicture.Operation] {
        operations.indices.filter { index in
            let operation = operations[index]
            return operation.state == "failed" && !operations[(index + 1)...].contains { $0.kind == operation.kind }
        }.map { operations[$0] }
    }

    /// A shard in any other state may answer some requests; only an unavailable one answers none.
    private static func serves(_ shard: ClusterPicture.Shard) -> Bool {
        shard.primary != nil && shard.state != "unavailable"
    }

    /// Shards by state, the states in the order of their first shard.
    private static func groups(_ shards: [ClusterPicture.Shard]) -> [(state: String, shards: [UInt64])] {
        var groups: [(state: String, shards: [UInt64])] = []
        for shard in shards {
            let state = shard.primary == nil ? "without a primary" : shard.state
            if let index = groups.firstIndex(where: { $0.state == state }) {
                groups[index].shards.append(shard.shard)
            } else {
                groups.append((state, [shard.shard]))
            }
        }
        return groups
    }

    /// `1, 2, 3, 7` as `1-3, 7`.
    static func runs(_ numbers: [UInt64]) -> String {
        var runs: [(first: UInt64, last: UInt64)] = []
        for number in numbers.sorted() {
            if let last = runs.last, number == last.last + 1 {
                runs[runs.count - 1].last = number
            } else {
                runs.append((number, number))
            }
        }
        return runs.map { $0.first == $0.last ? "\($0.first)" : "\($0.first)-\($0.last)" }.joined(separator: ", ")
    }
}
