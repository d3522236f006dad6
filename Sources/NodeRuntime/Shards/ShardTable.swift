import HashRing
import NIOConcurrencyHelpers
import Primitives

/// Every shard of the cluster as this node sees it: served here, kept by another node, or unavailable and why.
///
/// Any thread may read it; seats change as shards move (``ShardKeeper``). Each seat has a lock of its own, held for a
/// copy and never while anything else happens, so that loops do not meet on one.
final class ShardTable: Sendable {
    enum Seat: Sendable {
        case served(ShardHost)
        /// This node should serve it and cannot.
        case unavailable(epoch: Epoch, reason: String)
        /// Another node serves it, as the cluster's map says.
        case elsewhere
    }

    let ring: Ring
    private let seats: [NIOLockedValueBox<Seat>]

    init(ring: Ring, seats: [Seat]) {
        precondition(seats.count == ring.shardCount, "one seat for each shard of the ring")
        self.ring = ring
        self.seats = seats.map { NIOLockedValueBox($0) }
    }

    func shard(of ringHash: UInt64) -> ShardID { ring.shard(of: ringHash) }

    /// A shard that the ring has not is nobody's here.
    subscript(shard: ShardID) -> Seat {
        let place = Int(shard.rawValue)
        return seats.indices.contains(place) ? seats[place].withLockedValue { $0 } : .elsewhere
    }

    func set(_ seat: Seat, of shard: ShardID) { seats[Int(shard.rawValue)].withLockedValue { $0 = seat } }

    /// The host of a shard whose reads may go beside the queue now.
    func serving(_ shard: ShardID) -> ShardHost? {
        guard case .served(let host) = self[shard], host.isServing else { return nil }
        return host
    }

    var hosts: [ShardHost] {
        ring.shards.compactMap { if case .served(let host) = self[$0] { host } else { nil } }
    }

    /// Shards that this node should serve and cannot, ascending.
    var unavailable: [ShardID] {
        ring.shards.filter { shard in
            switch self[shard] {
            case .served(let host): host.hasFailed
            case .unavailable: true
            case .elsewhere: false
            }
        }
    }

    func unavailability(of shard: ShardID) -> String {
        switch self[shard] {
        case .served(let host): host.troubleText ?? "it has stopped being served"
        case .unavailable(_, let reason): reason
        case .elsewhere: "another node serves it"
        }
    }
}
