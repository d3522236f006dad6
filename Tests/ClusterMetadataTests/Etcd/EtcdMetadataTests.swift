import ClusterCore
import Foundation
import Primitives
import Testing

@testable import ClusterMetadata

/// What holds with one member that is well.
@Suite struct EtcdMetadataTests {
    let etcd: EtcdCluster
    let key = MetadataKey("k")

    init() async throws {
        try await waitForQuiet()
        etcd = try EtcdCluster.shared.get()
    }

    @Test(.serialized, arguments: MetadataConformance.all)
    func conforms(_ conformance: MetadataConformance) async throws {
        let store = try EtcdCluster.forConformance.get().store()
        try await conformance.check(store)
        await store.close()
    }

    @Test func clustersDoNotSeeEachOther() async throws {
        let name = UUID().uuidString
        let (one, two) = (try etcd.store(cluster: name), try etcd.store(cluster: name + "0"))
        _ = try await one.commit(.put(key, [1]))
        #expect(try await two.get(key).value == nil)
        #expect(try await two.range(prefix: MetadataKey("")).value == [])
        #expect(try await one.range(prefix: MetadataKey("")).value.map(\.key) == [key])
        await one.close()
        await two.close()
    }

    /// Names that no key of ours can have, put there by hand, stop nobody.
    @Test func strayKeysAreLeftOut() async throws {
        let name = UUID().uuidString
        let store = try etcd.store(cluster: name)
        let revision = try await store.commit(.put(key, [1]))
        let stray = Data("/keystead/\(name)/a b".utf8).base64EncodedString()
        _ = try await etcd.post("kv/put", ["key": stray, "value": stray])
        let next = try await store.commit(.put(key, [2]))
        #expect(try await store.range(prefix: MetadataKey("")).value.map(\.key) == [key])
        var changes = store.watch(prefix: MetadataKey(""), after: revision).makeAsyncIterator()
        #expect(try await changes.next()?.revision == next)
        await store.close()
    }

    @Test func longRangesAreOfOneRevision() async throws {
        let store = try etcd.store()
        let keys = (0..<1100).map { MetadataKey("n/\($0)") }
        for start in stride(from: 0, to: keys.count, by: 100) {
            _ = try await store.commit(operations: keys[start..<start + 100].map { .put($0, Array($0.text.utf8)) })
        }
        let read = try await store.range(prefix: MetadataKey("n/"))
        #expect(read.value.map(\.key) == keys.sorted())
        #expect(read.value.allSatisfy { $0.value == Array($0.key.text.utf8) && $0.modRevision <= read.revision })
        await store.close()
    }

    /// Answers of many MiB come whole, and so do the messages of a watch that etcd divides.
    @Test func largeValuesTogether() async throws {
        let store = try etcd.store()
        let revision = try await store.get(key).revision
        let value = [UInt8](repeating: 7, count: MetadataLimits.valueBytesMax)
        for number in 0..<6 { _ = try await store.commit(.put(MetadataKey("big/\(number)"), value)) }
        let halves = try await store.commit(
            operations: (0..<10).map { .put(MetadataKey("small/\($0)"), value.suffix(90_000)) })
        #expect(
            try await store.range(prefix: MetadataKey("big/")).value.map(\.value.count)
                == Array(repeating: 1 << 20, count: 6))
        var changes = store.watch(prefix: MetadataKey(""), after: revision).makeAsyncIterator()
        for _ in 0..<6 { #expect(try await changes.next()?.events.count == 1) }
        let last = try await changes.next()
        #expect(last?.revision == halves)
        #expect(last?.events.count == 10)
        await store.close()
    }

    @Test func tooManyOperationsAreNamed() async throws {
        let store = try etcd.store()
        func transaction(_ count: Int) -> MetadataTransaction {
            MetadataTransaction(then: (0..<count).map { .put(MetadataKey("n/\($0)"), []) })
        }
        await #expect(throws: MetadataError.tooLarge(detail: "129 operations or conditions; etcd takes 128")) {
            try await store.transaction(transaction(129))
        }
        guard case .committed = try await store.transaction(transaction(128)) else {
            Issue.record("128 are taken")
            return
        }
        // Two values that are each within bounds are together beyond etcd's limit of a request.
        let large = [UInt8](repeating: 1, count: MetadataLimits.valueBytesMax)
        let error = await #expect(throws: MetadataError.self) {
            try await store.transaction(MetadataTransaction(then: [.put(key, large), .put(MetadataKey("l"), large)]))
        }
        guard case .tooLarge = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(try await store.get(key).value == nil)
        await store.close()
    }

    @Test func compactedHistoryIsTold() async throws {
        // A member of its own: compaction is for the whole of it.
        let etcd = try EtcdCluster()
        try etcd.start()
        let store = try etcd.store()
        let first = try await store.commit(.put(key, [0]))
        var last = first
        for number in 1..<10 { last = try await store.commit(.put(key, [UInt8(number)])) }
        _ = try await etcd.post("kv/compaction", ["revision": String(last.rawValue)])
        var changes = store.watch(prefix: key, after: first).makeAsyncIterator()
        await #expect(throws: MetadataError.compacted(oldest: last)) { try await changes.next() }
        // As the port says: read again, and watch from there.
        let read = try await store.range(prefix: key)
        #expect(read.value.map(\.value) == [[9]])
        var later = store.watch(prefix: key, after: read.revision).makeAsyncIterator()
        let next = try await store.commit(.put(key, [10]))
        #expect(try await later.next()?.revision == next)
        await store.close()
    }

    /// A watcher that never reads holds no more than its bound.
    @Test func watcherThatFallsBehindIsCutOff() async throws {
        let store = try etcd.store()
        let changes = store.watch(prefix: key, after: try await store.get(key).revision)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<16 {
                group.addTask {
                    for _ in 0..<80 { _ = try await store.commit(.put(key, [])) }
                }
            }
            try await group.waitForAll()
        }
        var count = 0
        let error = await #expect(throws: MetadataError.self) {
            // As long as it takes: the bound is passed for sure once everything has been sent.
            try await Task.sleep(for: .seconds(1))
            for try await _ in changes { count += 1 }
        }
        guard case .compacted = error else {
            Issue.record("\(String(describing: error)) after \(count)")
            return
        }
        #expect(count == MetadataLimits.watchChangesMax)
        await store.close()
    }

    @Test func closedStoreSaysSo() async throws {
        let store = try etcd.store()
        var changes = store.watch(prefix: key, after: try await store.get(key).revision).makeAsyncIterator()
        _ = try await store.commit(.put(key, [1]))
        _ = try await changes.next()
        await store.close()
        await store.close()
        await #expect(throws: MetadataError.closed) { try await changes.next() }
        await #expect(throws: MetadataError.closed) { try await store.get(key) }
    }

    @Test func oldVersionsAreWarnedOf() async throws {
        let version = try await etcd.post("maintenance/status", [:], as: StatusAnswer.self).version
        let isSound = try #require(EtcdVersion(version)).isSound
        let store = try etcd.store()
        let warning = try await store.versionWarning()
        #expect((warning == nil) == isSound)
        if let warning { #expect(warning.contains(version)) }
        await store.close()
    }

    // MARK: Sessions

    /// A session outlives its time. Where the machine gave this process no turn for that long, it rightly ends: then
    /// another one is tried.
    @Test func sessionsAreRenewed() async throws {
        let store = try etcd.store()
        for attempt in 1...5 {
            let session = try await store.openSession(timeToLiveSeconds: 6)
            _ = try await store.commit(.put(key, [1], session: session.id))
            try await Task.sleep(for: .seconds(8))
            let isRenewed = session.isAlive
            if isRenewed { #expect(try await store.get(key).value?.session == session.id) }
            try await session.end()
            #expect(try await store.get(key).value == nil)
            if isRenewed { break }
            #expect(attempt < 5, "no session outlived its time")
        }
        await store.close()
    }

    /// What its holder no longer renews, closed or fallen silent, others see vanish; and the holder knows by its clock.
    @Test func silentSessionsExpire() async throws {
        let name = UUID().uuidString
        let (store, other) = (try etcd.store(cluster: name), try etcd.store(cluster: name))
        let session = try await store.openSession(timeToLiveSeconds: 2)
        let revision = try await store.commit(.put(key, [1], session: session.id))
        await store.close()
        var changes = other.watch(prefix: key, after: revision).makeAsyncIterator()
        #expect(try await changes.next()?.events == [.delete(key)])
        #expect(!session.isAlive)
        await other.close()
    }

    @Test func sessionThatNobodyHoldsExpires() async throws {
        let store = try etcd.store()
        var session: (any MetadataSession)? = try await store.openSession(timeToLiveSeconds: 2)
        let id = try #require(session).id
        let revision = try await store.commit(.put(key, [1], session: id))
        session = nil
        var changes = store.watch(prefix: key, after: revision).makeAsyncIterator()
        #expect(try await changes.next()?.events == [.delete(key)])
        await store.close()
    }

    @Test func sessionEndedByOthersIsNoticed() async throws {
        let store = try etcd.store()
        let session = try await store.openSession(timeToLiveSeconds: 3)
        _ = try await etcd.post("lease/revoke", ["ID": String(session.id.rawValue)])
        while session.isAlive { try await Task.sleep(for: .milliseconds(50)) }
        await #expect(throws: MetadataError.sessionEnded) {
            try await store.transaction(MetadataTransaction(then: [.put(key, [], session: session.id)]))
        }
        try await session.end()
        await store.close()
    }
}
