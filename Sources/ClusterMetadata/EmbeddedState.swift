internal import ClusterCore

/// The embedded store as a value: what is stored, at which revision, and what happened lately. No file, no lock, no
/// watcher: those stand around it.
struct EmbeddedState: Sendable, Equatable {
    private(set) var revision = MetadataRevision.zero
    private(set) var entries: [MetadataKey: MetadataEntry] = [:]
    /// The last changes, oldest first, contiguous, the last one at `revision`.
    private(set) var history: [MetadataChange] = []
    /// Everything after this revision is in `history`.
    private(set) var compactedRevision = MetadataRevision.zero
    private var historyBytes = 0

    init() {}

    /// From a file: history begins here.
    init(revision: MetadataRevision, entries: [MetadataEntry]) {
        self.revision = revision
        compactedRevision = revision
        self.entries = Dictionary(uniqueKeysWithValues: entries.map { ($0.key, $0) })
    }

    func range(prefix: MetadataKey) -> [MetadataEntry] {
        entries.values.filter { $0.key.hasPrefix(prefix) }.sorted { $0.key < $1.key }
    }

    func holds(_ condition: MetadataTransaction.Condition) -> Bool {
        switch condition {
        case .lastPut(let key, let revision): entries[key]?.modRevision ?? .zero == revision
        case .created(let key, let revision): entries[key]?.createRevision ?? .zero == revision
        case .notCreated(let key, let revision): entries[key]?.createRevision ?? .zero != revision
        }
    }

    /// What the operations would do, as the change of the next revision; `nil` where they do nothing.
    func change(by operations: [MetadataTransaction.Operation]) -> MetadataChange? {
        let next = revision.next
        let events = operations.compactMap { operation -> MetadataChange.Event? in
            switch operation {
            case .put(let key, let value, let session):
                let created = entries[key]?.createRevision ?? next
                return .put(
                    MetadataEntry(
                        key: key, value: value, createRevision: created, modRevision: next, session: session))
            case .delete(let key):
                return entries[key] == nil ? nil : .delete(key)
            }
        }
        return events.isEmpty ? nil : MetadataChange(revision: next, events: events.sorted { $0.key < $1.key })
    }

    mutating func apply(_ change: MetadataChange) {
        precondition(change.revision == revision.next, "changes come one revision after the other")
        for event in change.events {
            switch event {
            case .put(let entry): entries[entry.key] = entry
            case .delete(let key): entries[key] = nil
            }
        }
        revision = change.revision
        history.append(change)
        historyBytes += change.byteCount
        trimHistory()
    }

    /// The changes after `revision` that touch `prefix`; `nil` where some of them are forgotten.
    func changes(under prefix: MetadataKey, after revision: MetadataRevision) -> [MetadataChange]? {
        guard revision >= compactedRevision else { return nil }
        return history.filter { $0.revision > revision }.compactMap { $0.restricted(to: prefix) }
    }

    /// Drops a quarter at once when full, so that a full history does not shift with every change.
    private mutating func trimHistory() {
        guard history.count > MetadataLimits.historyRevisionsMax || historyBytes > MetadataLimits.historyBytesMax
        else { return }
        var dropped = 0
        while dropped < history.count,
            dropped * 4 < MetadataLimits.historyRevisionsMax || historyBytes > MetadataLimits.historyBytesMax
        {
            historyBytes -= history[dropped].byteCount
            compactedRevision = history[dropped].revision
            dropped += 1
        }
        history.removeFirst(dropped)
    }
}

extension MetadataChange {
    fileprivate var byteCount: Int {
        events.reduce(0) { sum, event in
            guard case .put(let entry) = event else { return sum + event.key.text.utf8.count }
            return sum + entry.key.text.utf8.count + entry.value.count
        }
    }

    /// The events under `prefix`; `nil` where there is none.
    func restricted(to prefix: MetadataKey) -> MetadataChange? {
        let touched = events.filter { $0.key.hasPrefix(prefix) }
        return touched.isEmpty ? nil : MetadataChange(revision: revision, events: touched)
    }
}
