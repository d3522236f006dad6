public import ClusterCore
internal import Synchronization

/// The metadata store of a cluster that lives in one process: all of it in memory, and in one small file that every
/// change replaces whole (``EmbeddedFileFormat``).
///
/// Its methods are synchronous, which also satisfies the port; a change blocks for two fsyncs. Any thread may call.
/// Sessions last until they are ended or the process ends: on the next open, what was put under them is gone.
public final class EmbeddedMetadata: MetadataStore {
    private struct Core: ~Copyable {
        let file: AtomicFile
        var state: EmbeddedState
        var sessions: Set<SessionID> = []
        var lastSession: UInt64 = 0
        /// Set when a replacement's outcome is unknown: what is on the disk may be newer than `state`.
        var poison: MetadataError?
    }

    private let core: Mutex<Core>
    private let watchers = WatcherTable()

    /// Opens the file.
    ///
    /// - Parameters:
    ///   - path: its directory exists.
    ///   - create: start empty where there is no file; otherwise that is `missing`.
    /// - Throws: `corrupt` or `unsupportedFormat` without having touched the file, `lockHeld`, `io`.
    public init(path: String, create: Bool) throws(MetadataError) {
        let file = try AtomicFile(path: path)
        let content = try file.read()
        guard let content else {
            guard create else { throw .missing(file: path) }
            core = Mutex(Core(file: file, state: EmbeddedState()))
            return
        }
        var state = try EmbeddedFileFormat.decode(content, file: path)
        // Sessions of the process before this one have ended with it. In memory alone, so that a full disk hinders
        // nothing: the next change writes it, and without one the next process finds them again.
        let orphans = state.range(prefix: MetadataKey("")).filter { $0.session != nil }
        if let change = state.change(by: orphans.map { .delete($0.key) }) { state.apply(change) }
        core = Mutex(Core(file: file, state: state))
    }

    public func get(_ key: MetadataKey) throws(MetadataError) -> MetadataRead<MetadataEntry?> {
        try read { MetadataRead(value: $0.entries[key], revision: $0.revision) }
    }

    public func range(prefix: MetadataKey) throws(MetadataError) -> MetadataRead<[MetadataEntry]> {
        try read { MetadataRead(value: $0.range(prefix: prefix), revision: $0.revision) }
    }

    public func transaction(_ transaction: MetadataTransaction) throws(MetadataError) -> TransactionOutcome {
        let result = core.withLock { core in
            Result { () throws(MetadataError) in try Self.run(transaction, on: &core, watchers: watchers) }
        }
        return try result.get()
    }

    public func watch(
        prefix: MetadataKey, after revision: MetadataRevision
    ) -> AsyncThrowingStream<MetadataChange, any Error> {
        core.withLock { core in
            watchers.add(
                prefix: prefix, past: core.state.changes(under: prefix, after: revision),
                oldest: core.state.compactedRevision.next)
        }
    }

    /// `timeToLiveSeconds` means nothing here: the holder and the store are silent together.
    public func openSession(timeToLiveSeconds: UInt64) throws(MetadataError) -> any MetadataSession {
        let id = core.withLock { core in
            core.lastSession += 1
            core.sessions.insert(SessionID(core.lastSession))
            return SessionID(core.lastSession)
        }
        return EmbeddedSession(id: id, store: self)
    }

    func isAlive(_ session: SessionID) -> Bool { core.withLock { $0.sessions.contains(session) } }

    func end(_ session: SessionID) throws(MetadataError) {
        let result = core.withLock { core in
            Result { () throws(MetadataError) in
                guard core.sessions.contains(session) else { return }
                let owned = core.state.range(prefix: MetadataKey("")).filter { $0.session == session }
                let deletion = MetadataTransaction(then: owned.map { .delete($0.key) })
                _ = try Self.run(deletion, on: &core, watchers: watchers)
                core.sessions.remove(session)
            }
        }
        try result.get()
    }

    private func read<Value>(_ body: (EmbeddedState) -> Value) throws(MetadataError) -> Value {
        let result = core.withLock { core -> Result<Value, MetadataError> in
            if let poison = core.poison { return .failure(poison) }
            return .success(body(core.state))
        }
        return try result.get()
    }

    /// The file first, then memory, then the watchers.
    private static func run(
        _ transaction: MetadataTransaction, on core: inout Core, watchers: WatcherTable
    ) throws(MetadataError) -> TransactionOutcome {
        if let poison = core.poison { throw poison }
        for case .put(_, _, let session?) in transaction.operations where !core.sessions.contains(session) {
            throw .sessionEnded
        }
        guard transaction.conditions.allSatisfy({ core.state.holds($0) }) else {
            return .conflict(core.state.revision)
        }
        guard let change = core.state.change(by: transaction.operations) else { return .committed(core.state.revision) }
        var next = core.state
        next.apply(change)
        do throws(AtomicFile.ReplaceFailure) {
            try core.file.replace(with: EmbeddedFileFormat.encode(next))
        } catch {
            switch error {
            case .unchanged(let detail): throw .io(detail: detail)
            case .unknown(let detail):
                core.poison = .outcomeUnknown(detail: detail)
                throw .outcomeUnknown(detail: detail)
            }
        }
        core.state = next
        watchers.send(change)
        return .committed(change.revision)
    }
}

private struct EmbeddedSession: MetadataSession {
    let id: SessionID
    let store: EmbeddedMetadata

    var isAlive: Bool { store.isAlive(id) }

    func end() throws(MetadataError) { try store.end(id) }
}
