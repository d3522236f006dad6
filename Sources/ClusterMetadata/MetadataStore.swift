public import ClusterCore

/// The port to the cluster's metadata: a small ordered map with revisions, transactions, watches and sessions, as etcd
/// v3 has them (Architecture §8). Everything here is control plane: serving an entity never waits for it.
///
/// Whatever the implementation:
/// - Revisions: one counter for the whole store. A transaction that changes anything takes the next one, and all its
///   changes carry it. Reads are linearizable and say the revision they are of.
/// - A transaction happens whole or not at all. `outcomeUnknown` means that either may be the case: read again to find
///   out, never assume (rule R9).
/// - Watches are hints. They miss nothing and keep order, but may be late: decide on a read or a compare.
public protocol MetadataStore: Sendable {
    func get(_ key: MetadataKey) async throws(MetadataError) -> MetadataRead<MetadataEntry?>

    /// Every entry whose key begins with `prefix`, in key order.
    func range(prefix: MetadataKey) async throws(MetadataError) -> MetadataRead<[MetadataEntry]>

    func transaction(_ transaction: MetadataTransaction) async throws(MetadataError) -> TransactionOutcome

    /// The changes under `prefix` with a revision above `revision`, one element a revision, in order, for ever. It ends
    /// by an error only, a `MetadataError`; after `compacted` read the range again and watch from its revision.
    func watch(prefix: MetadataKey, after revision: MetadataRevision) -> AsyncThrowingStream<MetadataChange, any Error>

    /// Begins a session: entries put under it vanish when it ends, by `end` or because its holder has been silent for
    /// longer than `timeToLiveSeconds`.
    func openSession(timeToLiveSeconds: UInt64) async throws(MetadataError) -> any MetadataSession
}

/// A lease held by this process and renewed by itself.
public protocol MetadataSession: Sendable {
    var id: SessionID { get }

    /// False once the session is known to have ended; then everything put under it is gone or about to go.
    var isAlive: Bool { get }

    /// Ends the session now; its entries are gone when this returns. Ending an ended session does nothing.
    func end() async throws(MetadataError)
}
