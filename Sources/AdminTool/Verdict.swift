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
    /// At least one for anything but healthy; what is worth knowing of a healthy cluster, such as clocks that differ.
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
            let numbers = Self.runs(shards.map(\.shard)) + Self.owners(shards, picture)
            reasons.append("\(noun) \(numbers) \(shards.count == 1 ? "is" : "are") \(state)")
        }
        reasons += picture.nodes.filter { $0.state == "down" }.map { "node \($0.id) is down" }
        reasons += Self.failures(picture.operations).map { "operation \($0.id) (\($0.kind)) failed" }
        if let metadata = picture.text.member("metadata"), metadata.member("reachable")?.bool == false {
            let seconds = metadata.member("age-seconds")?.unsigned ?? 0
            reasons.append(
                "the metadata store has not answered for \(Format.time(.seconds(Int64(clamping: seconds)))): what runs "
                    + "goes on, changes and moves wait, and what is shown here is as old")
        }
        if let storage = picture.text.member("storage")?.string, storage != "ok" {
            reasons.append("storage is \(storage): reads go on, writes wait for space")
        }
        let servesNothing = picture.shards.isEmpty || !picture.shards.contains(where: Self.serves)
        if servesNothing, reasons.isEmpty { reasons = ["the cluster has no shards"] }
        let word: Word = reasons.isEmpty ? .healthy : servesNothing ? .unavailable : .degraded
        self.init(word, reasons + Self.clock(picture, asked))
    }

    /// Clocks that differ harm nothing by themselves, and may differ for as long as the data was ahead.
    private static func clock(_ picture: ClusterPicture, _ asked: String) -> [String] {
        guard let ahead = picture.text.member("clock")?.member("wall-ahead-milliseconds")?.integer, ahead != 0 else {
            return []
        }
        let gap = Format.time(.milliseconds(Int64(clamping: ahead.magnitude)))
        return ["the wall clock of \(asked) is \(gap) \(ahead > 0 ? "ahead of" : "behind") the data's time"]
    }

    /// Whether the shard takes requests as it should. One that moves does.
    static func isWell(_ shard: ClusterPicture.Shard) -> Bool {
        shard.primary != nil && (shard.state == "serving" || shard.state == "moving")
    }

    /// Operations that failed and have not been tried again since: a later one of the kind makes up for them. A single
    /// shard that could not be moved serves where it is: that is for `op list` to tell.
    private static func failures(_ operations: [ClusterPicture.Operation]) -> [ClusterPicture.Operation] {
        operations.indices.filter { index in
            let operation = operations[index]
            return operation.state == "failed" && operation.kind != "move"
                && !operations[(index + 1)...].contains { $0.kind == operation.kind }
        }.map { operations[$0] }
    }

    /// ` of n2, n3`: where to look. Nothing where there is but one node, or no primary.
    private static func owners(_ shards: [ClusterPicture.Shard], _ picture: ClusterPicture) -> String {
        let owners = Set(shards.compactMap(\.primary)).sorted()
        return picture.nodes.count < 2 || owners.isEmpty ? "" : " of \(owners.joined(separator: ", "))"
    }

    /// A shard in any other state may answer some requests; only an unavailable one answers none.
    private static func serves(_ shard: ClusterPicture.Shard) -> Bool {
        shard.primary != nil && shard.state != "unavailable"
    }

    /// Shards by state, the states in the order of their first shard.
    private static func groups(
        _ shards: [ClusterPicture.Shard]
    ) -> [(state: String, shards: [ClusterPicture.Shard])] {
        var groups: [(state: String, shards: [ClusterPicture.Shard])] = []
        for shard in shards {
            let state = shard.primary == nil ? "without a primary" : shard.state
            if let index = groups.firstIndex(where: { $0.state == state }) {
                groups[index].shards.append(shard)
            } else {
                groups.append((state, [shard]))
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
