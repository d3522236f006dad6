internal import ClusterCore

/// Makes of the messages of a watch one change a revision. No socket, no clock.
///
/// etcd sends several revisions in one message, and one revision in several where it is large (`fragment`). After a
/// disconnect it is asked from the last whole revision on.
struct EtcdWatchAssembler {
    enum Step: Equatable {
        case changes([MetadataChange])
        /// etcd has the watch; it stood at this revision, which may be behind.
        case created(at: MetadataRevision)
        case compacted(oldest: MetadataRevision)
        /// Ended by etcd for another reason.
        case cancelled(String)
    }

    private let keyspace: EtcdKeyspace
    /// Everything through this one has been given out.
    private(set) var last: MetadataRevision
    /// Of revisions above `last`, ascending, the last of them perhaps incomplete.
    private var pending: [(revision: MetadataRevision, events: [MetadataChange.Event])] = []

    init(keyspace: EtcdKeyspace, after revision: MetadataRevision) {
        self.keyspace = keyspace
        last = revision
    }

    /// A connection has ended: what it sent of an incomplete revision comes again.
    mutating func disconnect() { pending = [] }

    mutating func take(_ answer: WatchAnswer) -> Step {
        if answer.canceled == true {
            if let oldest = answer.compact_revision?.value, oldest > 0 {
                return .compacted(oldest: MetadataRevision(oldest))
            }
            return .cancelled(answer.cancel_reason ?? "no reason given")
        }
        if answer.created == true { return .created(at: answer.header?.metadataRevision ?? .zero) }
        for event in answer.events ?? [] { add(event) }
        // Without events it is a sign of life; where the watch stands, its changes alone say.
        return .changes(flush(isWhole: answer.fragment != true))
    }

    private mutating func add(_ event: WatchAnswer.Event) {
        guard let stored = event.kv else { return }
        let revision = MetadataRevision(stored.mod_revision?.value ?? 0)
        // A server may send again what it has sent before.
        guard revision > last else { return }
        let change: MetadataChange.Event
        if event.type == "DELETE" {
            guard let key = keyspace.key(stored.key) else { return }
            change = .delete(key)
        } else {
            guard let entry = keyspace.entry(stored) else { return }
            change = .put(entry)
        }
        if pending.last?.revision == revision {
            pending[pending.count - 1].events.append(change)
        } else {
            pending.append((revision, [change]))
        }
    }

    private mutating func flush(isWhole: Bool) -> [MetadataChange] {
        let count = isWhole ? pending.count : max(pending.count - 1, 0)
        let changes = pending.prefix(count).map {
            MetadataChange(revision: $0.revision, events: $0.events.sorted { $0.key < $1.key })
        }
        pending.removeFirst(count)
        last = changes.last?.revision ?? last
        return changes
    }
}

/// Divides a stream into lines, each of at most `bytesMax`.
struct BoundedLines {
    private let bytesMax: Int
    private var rest: [UInt8] = []

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// - Returns: the lines that end in `bytes`, without their newlines; `nil` where one is too long.
    mutating func take(_ bytes: some Sequence<UInt8>) -> [[UInt8]]? {
        // Only what is new is searched, and what follows the last newline waits.
        let searched = rest.count
        rest.append(contentsOf: bytes)
        var lines: [[UInt8]] = []
        var start = 0
        var from = searched
        while let newline = rest[from...].firstIndex(of: UInt8(ascii: "\n")) {
            lines.append(Array(rest[start..<newline]))
            start = newline + 1
            from = start
        }
        rest.removeFirst(start)
        return rest.count <= bytesMax && lines.allSatisfy { $0.count <= bytesMax } ? lines : nil
    }
}
