import ArgumentParser
import KeysteadClient

struct NodeCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "The nodes of the cluster.", subcommands: [NodeList.self])
}

struct NodeList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the nodes.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let picture = try await client.cluster()
            try show("nodes", of: picture, table: nodeTable(picture), as: output.output)
        }
    }
}

struct ShardCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shard", abstract: "The shards of the cluster.", subcommands: [ShardList.self])
}

struct ShardList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the shards.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let picture = try await client.cluster()
            try show("shards", of: picture, table: shardTable(picture.shards), as: output.output)
        }
    }
}

struct RingPicture: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ring", abstract: "Show which node owns which arcs of the ring.",
        discussion:
            "One row for each run of neighbouring shards with one owner: its arc of the hash ring, and its share.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let picture = try await client.cluster()
            let rows = Ring.arcs(picture.shards).map { arc in
                [
                    arc.first == arc.last ? "\(arc.first)" : "\(arc.first)-\(arc.last)", arc.firstHash, arc.lastHash,
                    arc.owner ?? "-", arc.share,
                ]
            }
            let table = Format.table(["SHARDS", "FIRST HASH", "LAST HASH", "PRIMARY", "SHARE"], rows)
            try show("shards", of: picture, table: table, as: output.output)
        }
    }
}

/// Prints the table, or with `--output json` that part of the server's own document.
private func show(_ part: String, of picture: ClusterPicture, table: String, as format: OutputFormat) throws {
    switch format {
    case .table: try Console.current.write(table.utf8)
    case .json:
        var object = JSONObject()
        object.add("cluster", picture.cluster)
        object.add("map-revision", picture.mapRevision)
        if let value = picture.text.member(part) { object.add(part, raw: value.bytes) }
        try Console.current.write(object.bytes + [0x0A])
    }
}

/// The ring as runs of shards. Pure.
enum Ring {
    struct Arc: Equatable {
        let first: UInt64
        var last: UInt64
        let owner: String?
        let shardCount: UInt64

        /// The ring is cut into equal arcs: shard n of S begins at n × 2^64 / S.
        var firstHash: String { hexadecimal(Ring.start(of: first, in: shardCount)) }
        var lastHash: String {
            last + 1 == shardCount ? hexadecimal(.max) : hexadecimal(Ring.start(of: last + 1, in: shardCount) - 1)
        }
        var share: String {
            let thousandths = (last - first + 1) * 1000 / max(shardCount, 1)
            return "\(thousandths / 10).\(thousandths % 10) %"
        }
    }

    fileprivate static func start(of shard: UInt64, in count: UInt64) -> UInt64 {
        count.dividingFullWidth((shard, 0)).quotient
    }

    /// Neighbouring shards with one owner as one arc, in ring order.
    static func arcs(_ shards: [ClusterPicture.Shard]) -> [Arc] {
        var arcs: [Arc] = []
        for shard in shards.sorted(by: { $0.shard < $1.shard }) where shard.shard < UInt64(shards.count) {
            if let last = arcs.last, last.last + 1 == shard.shard, last.owner == shard.primary {
                arcs[arcs.count - 1].last = shard.shard
            } else {
                arcs.append(
                    Arc(first: shard.shard, last: shard.shard, owner: shard.primary, shardCount: UInt64(shards.count)))
            }
        }
        return arcs
    }
}
