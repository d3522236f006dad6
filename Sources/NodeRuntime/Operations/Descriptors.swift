private import CPosixShims
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Primitives

/// The file descriptors of this process, as the nodes in it divide them. Any thread.
final class Descriptors: Sendable {
    /// The soft limit, which is the hard one where that could be had.
    let limit: Int
    private let demand: DescriptorPlan.Demand
    /// Stores open or being opened, over all nodes of the process.
    private let stores = NIOLockedValueBox<(count: Int, max: Int)>((0, 0))

    /// Raises the limit, and refuses what is known to be too much already.
    ///
    /// - Parameter shards: that the process will hold for certain; 0 where that is not known yet.
    init(_ configuration: NodeConfiguration, shards: Int) throws(NodeStartError) {
        let raised = ks_raise_descriptor_limit()
        guard raised > 0 else { throw NodeStartError("the limit of file descriptors cannot be read") }
        limit = Int(clamping: raised)
        let loops = configuration.eventLoops == 0 ? System.coreCount : configuration.eventLoops
        demand = DescriptorPlan.Demand(
            nodes: configuration.processNodes, held: shards, ring: shards,
            connections: configuration.connectionsMax, eventLoops: loops,
            peers: configuration.processNodes - 1 + (configuration.metadata == .embedded ? 0 : Self.peersExpected),
            hasMetadataService: configuration.metadata != .embedded)
        _ = try plan(held: shards, of: shards)
    }

    /// Room for nodes that join later.
    private static let peersExpected = 4

    /// - Parameters:
    ///   - held: shards of this node.
    ///   - ring: shards of the cluster.
    ///   - others: nodes of the cluster that are known, beside this one.
    /// - Throws: where the limit is too low for so many shards: a refusal.
    func plan(held: Int, of ring: Int, others: Int = 0) throws(NodeStartError) -> DescriptorPlan {
        var demand = demand
        if demand.hasMetadataService { demand.peers = others + Self.peersExpected }
        // The nodes of one process hold all shards together, and those that move among them twice.
        demand.held = demand.nodes > 1 ? ring : held
        demand.ring = demand.nodes > 1 ? ring + demand.nodes * Limits.movesInMax * 2 : ring
        guard let plan = DescriptorPlan(limit: limit, demand: demand) else {
            throw NodeStartError(DescriptorPlan.refusal(limit: limit, demand: demand), isRefusal: true)
        }
        return plan
    }

    /// `limits.connections`.
    var connectionsWanted: Int { demand.connections }

    // MARK: Stores

    /// A node of the process opens its stores under `plan`.
    func open(_ count: Int, under plan: DescriptorPlan) {
        stores.withLockedValue { $0 = ($0.count + count, max($0.max, plan.storesMax)) }
    }

    var hasRoomForStore: Bool { stores.withLockedValue { $0.count < $0.max } }

    /// False where there is no room for another store: then nothing is counted.
    func takeStore() -> Bool {
        stores.withLockedValue { stores in
            guard stores.count < stores.max else { return false }
            stores.count += 1
            return true
        }
    }

    func giveStoreBack() { stores.withLockedValue { $0.count -= 1 } }
}
