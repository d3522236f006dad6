import ClusterCore
import Primitives
import Testing

@testable import Simulator

@Suite struct VirtualMetadataStoreTests {
    private let world = World(traceLinesMax: 0)
    private let key = MetadataKey("k")

    private func store(_ change: (inout VirtualMetadataStore.Settings) -> Void = { _ in }) -> VirtualMetadataStore {
        var settings = VirtualMetadataStore.Settings()
        change(&settings)
        return VirtualMetadataStore(world: world, settings: settings, random: SplitMix64(seed: 1))
    }

    private func put(
        _ key: String, _ value: UInt8, if conditions: [MetadataTransaction.Condition] = [], session: SessionID? = nil
    ) -> MetadataTransaction {
        MetadataTransaction(if: conditions, then: [.put(MetadataKey(key), [value], session: session)])
    }

    private func run(for span: UInt64 = 60 * Span.second) {
        var isOver = false
        world.schedule(after: span) { isOver = true }
        while !isOver, world.runNext() {}
    }

    private func isThere(_ key: String, _ store: VirtualMetadataStore) -> Bool? {
        var found: Bool?
        store.get(MetadataKey(key)) { result in found = (try? result.get()).map { $0.value != nil } }
        run(for: Span.second)
        return found
    }

    @Test func onlyOneOfTwoTransactionsOnOneRevisionSucceeds() {
        let store = store()
        var outcomes: [TransactionOutcome] = []
        for value in 1...2 as ClosedRange<UInt8> {
            store.transact(put("k", value, if: [.absent(key)])) { result in
                if let outcome = try? result.get() { outcomes.append(outcome) }
            }
        }
        run()
        let first = MetadataRevision(1)
        #expect(outcomes.contains(.committed(first)) && outcomes.contains(.conflict(first)))
    }

    @Test func anUnknownOutcomeMayBeEitherAndMayComeLate() {
        let store = store { $0.unknownEvery = 1 }
        var unknown = 0
        for index in 0..<40 {
            store.transact(put("k\(index)", 1)) { if case .failure(.outcomeUnknown) = $0 { unknown += 1 } }
        }
        run(for: 10 * Span.millisecond)
        let early = store.revision
        run()
        #expect(unknown == 40)
        #expect(store.revision > early)
        #expect(store.revision > MetadataRevision(5) && store.revision < MetadataRevision(35))
    }

    @Test func aWatchTellsEveryChangeOnceAndInOrder() {
        let store = store()
        var seen: [MetadataRevision] = []
        let watch = store.watch(MetadataKey("a/"), after: .zero) { event in
            if case .changed(let change) = event { seen.append(change.revision) }
        }
        for index in 0..<30 { store.transact(put(index % 3 == 0 ? "b/x" : "a/\(index)", 1)) { _ in } }
        run()
        #expect(seen.count == 20)
        #expect(seen == seen.sorted())
        watch.cancel()
        store.transact(put("a/1", 1)) { _ in }
        run()
        #expect(seen.count == 20)
    }

    @Test func aWatchFromBeforeACompactionIsTold() {
        let store = store()
        for index in 0..<10 { store.transact(put("a/\(index)", 1)) { _ in } }
        run()
        store.compact(through: MetadataRevision(5))
        var events: [VirtualMetadataStore.WatchEvent] = []
        _ = store.watch(MetadataKey("a/"), after: MetadataRevision(1)) { events.append($0) }
        run()
        #expect(events == [.compacted(oldest: MetadataRevision(6))])
    }

    @Test func aSessionEndsLateAndNeverEarly() {
        let store = store()
        var session: SessionID?
        store.openSession(timeToLive: 3 * Span.second) { session = try? $0.get() }
        run(for: Span.second)
        store.transact(put("session", 1, session: session)) { _ in }
        run(for: 100 * Span.millisecond)
        #expect(isThere("session", store) == true)
        run(for: 20 * Span.second)
        #expect(isThere("session", store) == false)
    }

    @Test func anOutageAnswersNothingAndExpiresNothing() {
        let store = store()
        var session: SessionID?
        store.openSession(timeToLive: 2 * Span.second) { session = try? $0.get() }
        run(for: Span.second)
        store.transact(put("session", 1, session: session)) { _ in }
        run(for: 100 * Span.millisecond)
        store.goDown(for: 30 * Span.second)
        var outcome: Result<TransactionOutcome, MetadataError>?
        store.transact(put("k", 1)) { outcome = $0 }
        #expect(isThere("session", store) == nil)
        run(for: 29 * Span.second + Span.millisecond)
        guard case .failure? = outcome else {
            Issue.record("an outage answered \(String(describing: outcome))")
            return
        }
        #expect(isThere("session", store) == true)
    }
}
