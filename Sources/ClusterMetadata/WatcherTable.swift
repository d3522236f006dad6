internal import ClusterCore
internal import Synchronization

/// Who watches what. Changes are sent under the store's lock, so each watcher sees them in order and none twice.
final class WatcherTable: Sendable {
    typealias Continuation = AsyncThrowingStream<MetadataChange, any Error>.Continuation

    private struct Table {
        var watchers: [UInt64: (prefix: MetadataKey, continuation: Continuation)] = [:]
        var last: UInt64 = 0
    }

    private let table = Mutex(Table())

    /// - Parameter past: what the watcher has missed; `nil` where that is forgotten, which ends the watch at once.
    func add(
        prefix: MetadataKey, past: [MetadataChange]?, oldest: MetadataRevision
    ) -> AsyncThrowingStream<MetadataChange, any Error> {
        // Room for all that was missed, and for as many changes to come as a watcher may be behind.
        let capacity = (past?.count ?? 0) + MetadataLimits.watchChangesMax
        let (stream, continuation) = AsyncThrowingStream<MetadataChange, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(capacity))
        guard let past else {
            continuation.finish(throwing: MetadataError.compacted(oldest: oldest))
            return stream
        }
        for change in past { continuation.yield(change) }
        let number = table.withLock { table in
            table.last += 1
            table.watchers[table.last] = (prefix, continuation)
            return table.last
        }
        continuation.onTermination = { [weak self] _ in
            _ = self?.table.withLock { $0.watchers.removeValue(forKey: number) }
        }
        return stream
    }

    func send(_ change: MetadataChange) {
        var overrun: [Continuation] = []
        table.withLock { table in
            for (number, watcher) in table.watchers {
                guard let part = change.restricted(to: watcher.prefix) else { continue }
                if case .enqueued = watcher.continuation.yield(part) { continue }
                table.watchers[number] = nil
                overrun.append(watcher.continuation)
            }
        }
        // Outside the lock: finishing calls `onTermination`, which takes it.
        for continuation in overrun {
            continuation.finish(throwing: MetadataError.compacted(oldest: change.revision.next))
        }
    }
}
