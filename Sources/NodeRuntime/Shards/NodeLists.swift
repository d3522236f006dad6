import NIOCore
import Primitives

/// What a node has for lists: who may make one, and the threads that do.
struct NodeLists: Sendable {
    /// Of this node's callers.
    let own: ListDesk
    /// The parts that other nodes ask for. They have an admission of their own: nodes that asked each other, and each
    /// had to wait for its own lists first, would wait for ever.
    let forPeers: ListDesk
    let scans: ScanPool

    /// - Parameter memory: a list that begins holds a whole page of it. So no more begin at once than half of the
    ///   callers' share has room for, and half as many for peers; the others wait for their turn.
    init(lister: Lister, memory: NodeMemory, loop: any EventLoop) {
        own = ListDesk(underWayMax: max(1, min(Limits.listsUnderWayMax, memory.pagesMax)), loop: loop)
        forPeers = ListDesk(underWayMax: max(1, min(Limits.listsUnderWayMax, memory.pagesMax / 2)), loop: loop)
        scans = ScanPool(lister: lister)
    }

    /// The node is going down: every list ends now with a refusal.
    func close() {
        own.close()
        forPeers.close()
    }

    func shutdown() async throws { try await scans.shutdown() }
}
