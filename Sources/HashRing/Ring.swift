public import Primitives

/// The circle of 64-bit hashes, cut into `shardCount` equal arcs: arc `i` is shard `i`.
///
/// `shard = (hash × S) >> 64`, the multiply-and-shift range reduction (Lemire, "Fast Random Integer Generation in an
/// Interval", TOMACS 2019), which for a power of two is the hash's high bits. So doubling `S` splits arc `i` into the
/// arcs `2i` and `2i + 1`, and rows kept in hash order split by one key.
///
/// With `XXH64(kind/id, seed: 0)` and 64 shards, which is contract:
///
/// | key | hash | shard |
/// | --- | --- | --- |
/// | `user/42` | `E89F2A24FC2BB767` | 58 |
/// | `order/2024-000017` | `08BBA8CC55C582C0` | 2 |
/// | `a/b/c` | `E94F700086CF8F20` | 58 |
/// | `k/é` | `BDBDC39CD4016153` | 47 |
/// | `sensor/hall-7/temperature/average-of-the-last-minute` | `E69AF227A3D02836` | 57 |
public struct Ring: Sendable, Hashable {
    /// A power of two.
    public let shardCount: Int

    /// - Parameter shardCount: a power of two from 1 to 65,536. (A cluster takes `Limits.shardsMin ... shardsMax`.)
    public init(shardCount: Int) {
        precondition(Self.isShardCount(shardCount), "the number of shards is a power of two up to 65,536")
        self.shardCount = shardCount
    }

    /// Whether a ring can have `count` arcs.
    public static func isShardCount(_ count: Int) -> Bool {
        count >= 1 && count <= 1 << 16 && count & (count - 1) == 0
    }

    /// The shard whose arc holds `hash`. O(1).
    @inlinable
    public func shard(of hash: UInt64) -> ShardID {
        ShardID(UInt32(truncatingIfNeeded: hash.multipliedFullWidth(by: UInt64(truncatingIfNeeded: shardCount)).high))
    }

    /// The hashes of `shard`, both ends included. The arcs of all shards, in order, cover every hash once.
    public func arc(of shard: ShardID) -> ClosedRange<UInt64> {
        precondition(Int(shard.rawValue) < shardCount, "the shard is one of the ring's")
        let shift = UInt64(64 - shardCount.trailingZeroBitCount)
        guard shift < 64 else { return 0...UInt64.max }
        let first = UInt64(shard.rawValue) << shift
        return first...(first | ((1 << shift) - 1))
    }

    /// Every shard, ascending: ring order.
    public var shards: some RandomAccessCollection<ShardID> {
        (0..<UInt32(shardCount)).lazy.map { ShardID($0) }
    }
}
