import Primitives
import Testing

@testable import Simulator

@Suite struct VirtualMetadataStoreTests {
    private let world = World(traceLinesMax: 0)

    private func store(_ change: (inout VirtualMetadataStore.Settings) -> Void = { _ in }) -> VirtualMetadataStore {
        var settings = VirtualMetadataStore.Settings()
        change(&settings)
        return VirtualMetadataStore(world: world, settings: settings, random: SplitMix64(seed: 1))
    }

    private func put(_ key: String, _ value: UInt8, lease: UInt64? = nil) -> VirtualMetadataStore.Change {
        .put(key, [value], lease: lease)
    }

    private func run(for span: UInt64 = 60 * Span.second) {
        var isOver = false
        world.schedule(after: span) { isOver = true }
        while !isOver, world.runNext() {}
    }

    @Test func onlyOneOfTwoTransactionsOnOneRevisionSucceeds() {
        let store = store()
        var outcomes: [VirtualMetadataStore.Outcome] = []
        for value in 1...2 as ClosedRange<UInt8> {
            store.transact([.init(key: "k", modRevision: 0)], [put("k", value)]) { outcomes.append($0) }
        }
        run()
        #expect(outcomes.contains(.succeeded(revision: 1)) && outcomes.contains(.failed(revision: 1)))
    }

    @Test func anUnknownOutcomeMayBeEither() {
        let store = store { $0.unknownEvery = 1 }
        var unknown = 0
        for index in 0..<40 {
            store.transact([], [put("k\(index)", 1)]) { if $0 == .unknown { unknown += 1 } }
        }
        run()
        #expect(unknown == 40)
        #expect(store.revision > 5 && store.revision < 35)
    }

    @Test func aWatchTellsEveryChangeOnceAndInOrder() {
        let store = store()
        var seen: [UInt64] = []
        store.watch("a/", from: 1) { event in
            if case .changed(_, _, let revision) = event { seen.append(revision) }
        }
        for index in 0..<30 { store.transact([], [put(index % 3 == 0 ? "b/x" : "a/\(index)", 1)]) { _ in } }
        run()
        #expect(seen.count == 20)
        #expect(seen == seen.sorted())
    }

    @Test func aWatchFromBeforeACompactionIsTold() {
        let store = store()
        for index in 0..<10 { store.transact([], [put("a/\(index)", 1)]) { _ in } }
        run()
        store.compact(before: 6)
        var events: [VirtualMetadataStore.WatchEvent] = []
        store.watch("a/", from: 2) { events.append($0) }
        run()
        #expect(events == [.compacted(6)])
    }

    @Test func aLeaseEndsLateAndNeverEarly() {
        let store = store()
        var lease: UInt64 = 0
        store.grantLease(ttl: 3 * Span.second) { lease = $0 }
        run(for: Span.second)
        store.transact([], [put("session", 1, lease: lease)]) { _ in }
        run(for: Span.second)
        var found: [Bool] = []
        store.get("session") { found.append($0 != nil) }
        run(for: 20 * Span.second)
        store.get("session") { found.append($0 != nil) }
        run(for: Span.second)
        #expect(found == [true, false])
    }

    @Test func anOutageAnswersNothingAndExpiresNothing() {
        let store = store()
        var lease: UInt64 = 0
        store.grantLease(ttl: 2 * Span.second) { lease = $0 }
        run(for: Span.second)
        store.transact([], [put("session", 1, lease: lease)]) { _ in }
        run(for: 100 * Span.millisecond)
        store.goDown(for: 30 * Span.second)
        var answers = 0
        var outcome: VirtualMetadataStore.Outcome?
        store.get("session") { _ in answers += 1 }
        store.transact([], [put("k", 1)]) { outcome = $0 }
        run(for: 30 * Span.second + Span.millisecond)
        #expect(answers == 0 && outcome == .unknown)
        store.get("session") { if $0 != nil { answers += 1 } }
        run(for: Span.second)
        #expect(answers == 1)
    }

    @Test func aRollbackUsesRevisionsAgain() {
        let store = store()
        store.transact([], [put("epoch", 1)]) { _ in }
        run()
        let backup = store.backup
        store.transact([], [put("epoch", 2)]) { _ in }
        run()
        store.rollBack(to: backup)
        var entry: VirtualMetadataStore.Entry?
        store.get("epoch") { entry = $0 }
        run()
        #expect(entry?.value == [1] && store.revision == 1)
    }
}
