import ClusterCore
import Testing

@testable import ClusterMetadata

@Suite struct HistoryTests {
    let key = MetadataKey("k")

    private func put(_ value: [UInt8], into state: inout EmbeddedState) throws -> MetadataChange {
        let change = try #require(state.change(by: [.put(key, value)]))
        state.apply(change)
        return change
    }

    /// A watcher that never reads does not hold memory for ever: it gets what fits, then is told to start over.
    @Test func watcherThatFallsBehindIsCutOff() async throws {
        var state = EmbeddedState()
        let table = WatcherTable()
        var changes = table.add(prefix: key, past: [], oldest: .zero).makeAsyncIterator()
        for _ in 0...MetadataLimits.watchChangesMax { table.send(try put([], into: &state)) }
        for number in 1...MetadataLimits.watchChangesMax {
            #expect(try await changes.next()?.revision == MetadataRevision(UInt64(number)))
        }
        await #expect(throws: MetadataError.self) { try await changes.next() }
    }

    /// Whatever the bounds forget, what is left is the end of history without a gap, and a question before it is told.
    @Test(arguments: [0, 10_000])
    func historyIsBoundedAndWithoutGaps(valueBytes: Int) throws {
        var state = EmbeddedState()
        let value = [UInt8](repeating: 1, count: valueBytes)
        for _ in 0..<(MetadataLimits.historyRevisionsMax + 10) {
            _ = try put(value, into: &state)
            #expect(state.history.count <= MetadataLimits.historyRevisionsMax)
            #expect(state.history.count * valueBytes <= MetadataLimits.historyBytesMax)
        }
        #expect(state.history.count > 100)
        let kept = try #require(state.changes(under: key, after: state.compactedRevision))
        #expect(kept.first?.revision == state.compactedRevision.next)
        #expect(kept.last?.revision == state.revision)
        #expect(kept.count == Int(state.revision.rawValue - state.compactedRevision.rawValue))
        #expect(state.compactedRevision > .zero)
        #expect(state.changes(under: key, after: .zero) == nil)
    }
}
