public import HashRing

/// The ring that the messages of one cluster speak of: keys are hashed by its seed, and a shard that it has not is
/// nonsense, in requests and in answers alike.
public struct WireRing: Sendable {
    public let seed: UInt64
    public let ring: Ring

    /// - Parameter shardCount: as the cluster's configuration has it.
    public init(seed: UInt64, shardCount: Int) {
        self.seed = seed
        ring = Ring(shardCount: shardCount)
    }

    public var shardCount: Int { ring.shardCount }

    /// For messages that speak of no shard.
    static let none = WireRing(seed: 0, shardCount: 1)
}
