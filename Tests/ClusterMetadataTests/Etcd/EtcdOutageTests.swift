import ClusterCore
import ClusterMetadata
import Foundation
import Testing

/// Three members, of which some die, stop or come back.
@Suite(.serialized) struct EtcdOutageTests {
    let key = MetadataKey("k")

    init() async throws { try await waitForQuiet() }

    /// One member may die, whichever it is: the one that is asked, or the leader.
    @Test(arguments: [true, false])
    func oneMemberMayDie(isLeader: Bool) async throws {
        let etcd = try EtcdCluster(members: 3)
        try etcd.start()
        let store = try etcd.store()
        try await store.waitUntilReady()
        let session = try await store.openSession(timeToLiveSeconds: 60)
        try await store.settle(key, [0])
        var revision = try await store.get(key).revision
        var changes = store.watch(prefix: key, after: revision).makeAsyncIterator()
        let victim = isLeader ? try await etcd.leader() : 0
        etcd.members[victim].stop()
        try await store.settle(key, [1])
        try await follow(&changes, until: [1], after: &revision)
        try etcd.members[victim].start()
        try await store.settle(key, [2])
        try await follow(&changes, until: [2], after: &revision)
        #expect(session.isAlive)
        try await session.end()
        await store.close()
    }

    /// Without a majority nothing is answered, and that is said; then it heals by itself.
    @Test func twoDeadMembersAreAnOutage() async throws {
        let etcd = try EtcdCluster(members: 3)
        try etcd.start()
        let store = try etcd.store()
        try await store.waitUntilReady()
        try await store.settle(key, [1])
        var revision = try await store.get(key).revision
        var changes = store.watch(prefix: key, after: revision).makeAsyncIterator()
        etcd.members[0].stop()
        etcd.members[1].stop()
        var error = await #expect(throws: MetadataError.self) { try await store.get(key) }
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // The member that is left knows by now that it has no leader, and refuses before it does anything.
        error = await #expect(throws: MetadataError.self) {
            try await store.transaction(MetadataTransaction(then: [.put(key, [2])]))
        }
        guard case .unavailable = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        try etcd.members[0].start()
        try etcd.members[1].start()
        try await store.waitUntilReady()
        #expect(try await store.get(key).value?.value == [1])
        try await store.settle(key, [3])
        try await follow(&changes, until: [3], after: &revision)
        await store.close()
    }

    /// A stopped process takes connections and never answers: reads go elsewhere, and so does a watch that hears
    /// nothing.
    @Test func stoppedEndpointIsLeft() async throws {
        let etcd = try EtcdCluster(members: 3)
        try etcd.start()
        let (store, other) = (try etcd.store(cluster: "c"), try EtcdMetadata(etcd.location(only: 1..<3), cluster: "c"))
        try await store.waitUntilReady()
        try await store.settle(key, [1])
        var revision = try await store.get(key).revision
        var changes = store.watch(prefix: key, after: revision).makeAsyncIterator()
        try await store.settle(key, [2])
        try await follow(&changes, until: [2], after: &revision)
        etcd.members[0].signal(SIGSTOP)
        try await other.settle(key, [3])
        try await follow(&changes, until: [3], after: &revision)
        #expect(try await store.get(key).value?.value == [3])
        try await store.settle(key, [4])
        etcd.members[0].signal(SIGCONT)
        await store.close()
        await other.close()
    }
}

/// One member that stops or starts again.
@Suite(.serialized) struct EtcdRestartTests {
    let key = MetadataKey("k")

    init() async throws { try await waitForQuiet() }

    /// A transaction that a stopped member has taken may happen when it goes on.
    @Test func transactionAtAStoppedMemberIsUnknown() async throws {
        let etcd = try EtcdCluster()
        try etcd.start()
        let store = try etcd.store()
        try await store.settle(key, [1])
        etcd.members[0].signal(SIGSTOP)
        let error = await #expect(throws: MetadataError.self) {
            try await store.transaction(MetadataTransaction(then: [.put(key, [2])]))
        }
        guard case .outcomeUnknown = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        etcd.members[0].signal(SIGCONT)
        let value = try await store.get(key).value?.value
        #expect(value == [1] || value == [2])
        await store.close()
    }

    /// A member that starts again has the watch and the lease as they were.
    @Test func restartIsBridged() async throws {
        let etcd = try EtcdCluster()
        try etcd.start()
        let store = try etcd.store()
        let session = try await store.openSession(timeToLiveSeconds: 60)
        var revision = try await store.commit(.put(key, [1], session: session.id))
        var changes = store.watch(prefix: key, after: revision).makeAsyncIterator()
        for round in UInt8(2)...3 {
            etcd.members[0].stop()
            try etcd.members[0].start()
            try await store.settle(key, [round])
            try await follow(&changes, until: [round], after: &revision)
        }
        #expect(session.isAlive)
        await store.close()
    }
}

/// Reads what a watch gives until it gives the value; each revision once and in order.
private func follow(
    _ changes: inout AsyncThrowingStream<MetadataChange, any Error>.AsyncIterator, until value: [UInt8],
    after revision: inout MetadataRevision
) async throws {
    while let change = try await changes.next(isolation: #isolation) {
        #expect(change.revision > revision)
        revision = change.revision
        if case .put(let entry)? = change.events.first, entry.value == value { return }
    }
    throw HarnessError("the watch ended")
}
