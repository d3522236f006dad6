import ClusterCore
import HashRing
import Testing

@Suite struct NodeAnnouncementTests {
    private let node = NodeID.named("n1")

    private func announcement(_ session: UInt64, in store: MemoryMetadata) throws -> MetadataTransaction? {
        NodeSession.announcement(of: node, bootCount: session, session: SessionID(session), in: try store.map())
    }

    @Test func aNodeIsKnownUnderItsSessionOfNow() throws {
        var store = MemoryMetadata.founded(["n1"])
        store.setAlive(node, false)
        store.run(try #require(try announcement(1, in: store)))
        #expect(try announcement(1, in: store) == nil)
        store.run(try #require(try announcement(2, in: store)))
        store.end(SessionID(1))
        #expect(try store.map().isAlive(node))
        store.end(SessionID(2))
        #expect(try !store.map().isAlive(node))
        #expect(try announcement(2, in: store) != nil)
    }

    @Test func anAnnouncementOfAnEarlierSessionThatComesLateChangesNothing() throws {
        var store = MemoryMetadata.founded(["n1"])
        let late = try #require(try announcement(1, in: store))
        store.run(try #require(try announcement(2, in: store)))
        guard case .conflict = store.run(late) else {
            Issue.record("a session of before has taken the node's key")
            return
        }
    }
}
