import HashRing
import Primitives

/// Every shard of the cluster as this node sees it: served here, or why not. Fixed while the node runs.
struct ShardTable: Sendable {
    enum Seat: Sendable {
        case served(ShardHost)
        case unavailable(epoch: Epoch, reason: String)
    }

    let ring: Ring
    let seats: [Seat]

    init(ring: Ring, seats: [Seat]) {
        precondition(seats.count == ring.shardCount, "one seat for each shard of the ring")
        self.ring = ring
        self.seats = seats
    }

    func shard(of ringHash: UInt64) -> ShardID { ring.shard(of: ringHash) }

    subscript(shard: ShardID) -> Seat { seats[Int(shard.rawValue)] }

    /// The host of a shard that is served now.
    func serving(_ shard: ShardID) -> ShardHost? {
        guard case .served(let host) = self[shard], host.isServing else { return nil }
        return host
    }

    var hosts: [ShardHost] {
        seats.compactMap { if case .served(let host) = $0 { host } else { nil } }
    }

    func unavailability(of shard: ShardID) -> String {
        switch self[shard] {
        case .served(let host): host.troubleText ?? "it has stopped being served"
        case .unavailable(_, let reason): reason
        }
    }
}
