import Entities
import NIOCore
import Primitives

/// How a node's memory is divided, and the accounts of what its callers and peers hold.
struct NodeMemory: Sendable {
    let shares: MemoryShares
    let loops: LoopMemory
    private let entityBytesMax: Int
    private let loopCount: Int

    init(_ configuration: NodeConfiguration, _ group: any EventLoopGroup) {
        shares = MemoryShares(memoryBytes: configuration.memoryBytes)
        loops = LoopMemory(group, bytes: shares.callerBytes)
        entityBytesMax = configuration.entityLimits.entityBytesMax
        loopCount = Array(group.makeIterator()).count
    }

    var budget: MemoryBudget { loops.budget }

    /// For a page of a list, from its first row to its last byte; `nil` where there is no room.
    func holdPage() -> MemoryHold? {
        MemoryHold(shares.pageWorstBytes(entityBytesMax: entityBytesMax), of: budget, as: .large)
    }

    /// For what is read for an answer; `nil` where there is no room.
    func hold(_ bytes: Int) -> MemoryHold? {
        MemoryHold(bytes, of: budget, as: MemoryRank(bytes: bytes, isRead: true))
    }

    /// Pages that half of the callers' share has room for.
    var pagesMax: Int { shares.callerBytes / 2 / shares.pageWorstBytes(entityBytesMax: entityBytesMax) }

    /// Rows that one loop fetches at once: together an eighth of the callers' share.
    var fetchesMax: Int {
        max(2, min(Limits.fetchesInFlightMax, shares.callerBytes / (8 * loopCount * entityBytesMax)))
    }

    /// Updates that one move out may keep for its target.
    var teeBytesMax: Int { min(Limits.moveTeeBytesMax, shares.memoryBytes / 16) }

    static let problem = Problem(
        .overloaded, "the node has no memory left for this request; try again shortly")
}
