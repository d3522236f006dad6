import KeysteadClient

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
        var share: String { Ring.share(last - first + 1, of: shardCount) }
    }

    fileprivate static func start(of shard: UInt64, in count: UInt64) -> UInt64 {
        count.dividingFullWidth((shard, 0)).quotient
    }

    /// `22` of `64` as `34.3 %`.
    static func share(_ part: UInt64, of whole: UInt64) -> String {
        let thousandths = part * 1000 / max(whole, 1)
        return "\(thousandths / 10).\(thousandths % 10) %"
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

    /// The arcs, a row each.
    static func table(_ shards: [ClusterPicture.Shard]) -> String {
        let rows = arcs(shards).map { arc in
            [
                arc.first == arc.last ? "\(arc.first)" : "\(arc.first)-\(arc.last)", arc.firstHash, arc.lastHash,
                arc.owner ?? "-", arc.share,
            ]
        }
        return Format.table(["SHARDS", "FIRST HASH", "LAST HASH", "PRIMARY", "SHARE"], rows)
    }
}
