import ClusterCore
import ClusterMetadata
import Testing

/// What every implementation of the metadata port must do; each check starts with an empty store.
struct MetadataConformance: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let check: @Sendable (any MetadataStore) async throws -> Void

    static let all: [MetadataConformance] = [
        MetadataConformance(testDescription: "an empty store has nothing at revision zero or later") { store in
            let read = try await store.get(a)
            #expect(read.value == nil)
            #expect(try await store.range(prefix: a).value == [])
        },
        MetadataConformance(testDescription: "puts make, change and remake keys") { store in
            let first = try await store.commit(.put(a, [1]))
            let second = try await store.commit(.put(a, [2]))
            #expect(first < second)
            var entry = try #require(try await store.get(a).value)
            #expect(entry.value == [2])
            #expect(entry.createRevision == first)
            #expect(entry.modRevision == second)
            #expect(entry.session == nil)
            let deleted = try await store.commit(.delete(a))
            #expect(deleted > second)
            #expect(try await store.get(a).value == nil)
            let again = try await store.commit(.put(a, []))
            entry = try #require(try await store.get(a).value)
            #expect(entry.value == [])
            #expect(entry.createRevision == again, "a key that comes back is a new one")
        },
        MetadataConformance(testDescription: "a range is ordered by bytes and bounded by its prefix") { store in
            let keys = ["n/10", "n/2", "n/1", "n", "n0", "m/1", "o"].map { MetadataKey($0) }
            let revision = try await store.commit(operations: keys.map { .put($0, Array($0.text.utf8)) })
            let read = try await store.range(prefix: MetadataKey("n/"))
            #expect(read.value.map(\.key.text) == ["n/1", "n/10", "n/2"])
            #expect(read.revision >= revision)
            #expect(try await store.range(prefix: MetadataKey("n")).value.count == 5)
        },
        MetadataConformance(testDescription: "all changes of a transaction carry one revision") { store in
            let revision = try await store.commit(operations: [.put(a, [1]), .put(b, [2])])
            #expect(try await store.get(a).value?.modRevision == revision)
            #expect(try await store.get(b).value?.createRevision == revision)
        },
        MetadataConformance(testDescription: "conditions hold together or nothing happens") { store in
            let created = try await store.commit(.put(a, [1]))
            let modified = try await store.commit(.put(a, [2]))
            let table: [([MetadataTransaction.Condition], Bool)] = [
                ([], true), ([.lastPut(a, at: modified)], true), ([.lastPut(a, at: created)], false),
                ([.created(a, at: created)], true), ([.created(a, at: modified)], false),
                ([.notCreated(a, at: created)], false), ([.notCreated(a, at: modified)], true),
                ([.absent(a)], false), ([.absent(b)], true), ([.lastPut(b, at: .zero)], true),
                ([.notCreated(b, at: created)], true), ([.notCreated(b, at: .zero)], false),
                ([.created(a, at: created), .absent(b)], true), ([.created(a, at: created), .absent(a)], false),
            ]
            for (number, (conditions, holds)) in table.enumerated() {
                let key = MetadataKey("probe/\(number)")
                let outcome = try await store.transaction(MetadataTransaction(if: conditions, then: [.put(key, [])]))
                #expect((try await store.get(key).value != nil) == holds, "row \(number)")
                switch outcome {
                case .committed(let revision): #expect(holds && revision > modified, "row \(number)")
                case .conflict(let revision): #expect(!holds && revision >= modified, "row \(number)")
                }
            }
        },
        MetadataConformance(testDescription: "a transaction that changes nothing takes no revision") { store in
            let revision = try await store.commit(.put(a, [1]))
            #expect(try await store.commit(.delete(b)) == revision)
            #expect(try await store.commit(operations: []) == revision)
        },
        MetadataConformance(testDescription: "of two that compare the same revision one wins") { store in
            let revision = try await store.commit(.put(a, [0]))
            let outcomes = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 1...8 {
                    group.addTask {
                        let outcome = try await store.transaction(
                            MetadataTransaction(if: [.lastPut(a, at: revision)], then: [.put(a, [UInt8(number)])]))
                        if case .committed = outcome { return true }
                        return false
                    }
                }
                return try await group.reduce(into: [Bool]()) { $0.append($1) }
            }
            #expect(outcomes.filter { $0 }.count == 1)
        },
        MetadataConformance(testDescription: "a watch gives what was and what comes, in order, once") { store in
            let first = try await store.commit(.put(a, [1]))
            let second = try await store.commit(operations: [.put(a, [2]), .put(b, [9])])
            var changes = store.watch(prefix: MetadataKey("a"), after: first).makeAsyncIterator()
            _ = try await store.commit(.put(b, [8]))
            let third = try await store.commit(.delete(a))
            let seen = try await [changes.next(), changes.next()].compactMap { $0 }
            #expect(seen.map(\.revision) == [second, third], "other keys are not watched")
            guard case .put(let entry)? = seen.first?.events.first else {
                Issue.record("\(seen)")
                return
            }
            #expect(entry.value == [2])
            #expect(seen.last?.events == [.delete(a)])
        },
        MetadataConformance(testDescription: "watching from a range misses nothing") { store in
            _ = try await store.commit(.put(a, [1]))
            let read = try await store.range(prefix: MetadataKey(""))
            let next = try await store.commit(.put(b, [2]))
            var changes = store.watch(prefix: MetadataKey(""), after: read.revision).makeAsyncIterator()
            #expect(try await changes.next()?.revision == next)
        },
        MetadataConformance(testDescription: "what a session put vanishes with it") { store in
            let session = try await store.openSession(timeToLiveSeconds: 10)
            let other = try await store.openSession(timeToLiveSeconds: 10)
            #expect(session.id != other.id)
            _ = try await store.commit(operations: [
                .put(a, [1], session: session.id), .put(b, [2], session: other.id), .put(MetadataKey("c"), [3]),
            ])
            #expect(try await store.get(a).value?.session == session.id)
            let revision = try await store.get(a).revision
            var changes = store.watch(prefix: a, after: revision).makeAsyncIterator()
            #expect(session.isAlive)
            try await session.end()
            try await session.end()
            #expect(!session.isAlive)
            #expect(other.isAlive)
            #expect(try await store.get(a).value == nil)
            #expect(try await store.get(b).value?.value == [2])
            #expect(try await changes.next()?.events == [.delete(a)])
            await #expect(throws: MetadataError.sessionEnded) {
                try await store.transaction(MetadataTransaction(then: [.put(a, [], session: session.id)]))
            }
            try await other.end()
        },
        MetadataConformance(testDescription: "a put without the session frees the key from it") { store in
            let session = try await store.openSession(timeToLiveSeconds: 10)
            _ = try await store.commit(.put(a, [1], session: session.id))
            _ = try await store.commit(.put(a, [2]))
            try await session.end()
            #expect(try await store.get(a).value?.value == [2])
        },
        MetadataConformance(testDescription: "values of every size come back whole") { store in
            for count in [0, 1, 1000, MetadataLimits.valueBytesMax] {
                let value = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
                _ = try await store.commit(.put(a, value))
                #expect(try await store.get(a).value?.value == value)
            }
        },
    ]

    private static let a = MetadataKey("a")
    private static let b = MetadataKey("b")
}

extension MetadataStore {
    /// Runs an unconditional transaction.
    func commit(operations: [MetadataTransaction.Operation]) async throws -> MetadataRevision {
        guard case .committed(let revision) = try await transaction(MetadataTransaction(then: operations)) else {
            throw MetadataError.unavailable(detail: "a transaction without conditions met a conflict")
        }
        return revision
    }

    func commit(_ operation: MetadataTransaction.Operation) async throws -> MetadataRevision {
        try await commit(operations: [operation])
    }
}
