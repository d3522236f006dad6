public import ClusterCore
internal import FoundationEssentials
internal import Primitives

/// The metadata store of a cluster of several processes: etcd v3, through its JSON gateway.
///
/// Every member of etcd serves the gateway at the port of its clients, under `/v3/`, and all that the port needs is
/// there: ranges, transactions, watches, leases, tokens. It costs base64 and some parsing, which a control plane of a
/// few changes a second does not feel; and it saves a second HTTP implementation, a protobuf runtime and generated code
/// in every node: the HTTP client is the one that Keystead's own client stands on.
///
/// The cluster's keys are under `/keystead/CLUSTER/`, so that several clusters can share one etcd.
///
/// Reads are linearizable, and asked again elsewhere when an endpoint fails. A transaction goes elsewhere only when it
/// surely had no effect; when its answer is lost it is `outcomeUnknown`. Any thread may call. Call `close` at the end.
public final class EtcdMetadata: MetadataStore {
    private let transport: EtcdTransport
    private let keyspace: EtcdKeyspace

    /// Connects to nothing: the first call does.
    ///
    /// - Parameter cluster: printable ASCII without `/` and spaces, not empty.
    /// - Throws: `io` where a TLS file cannot be used.
    public init(_ location: EtcdLocation, cluster: String) throws(MetadataError) {
        precondition(!cluster.isEmpty, "a cluster has a name")
        precondition(
            cluster.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") },
            "a cluster's name is printable ASCII without slashes")
        transport = try EtcdTransport(location)
        keyspace = EtcdKeyspace(cluster: cluster)
    }

    /// Ends all watches with `closed` and whatever else is under way. Sessions are not ended: they expire.
    public func close() async { await transport.close() }

    /// Asks every endpoint for its version; for the start of a node.
    ///
    /// - Returns: a sentence for the operator where a member is too old for production.
    /// - Throws: `unavailable` when no endpoint answers.
    public func versionWarning() async throws(MetadataError) -> String? {
        let transport = transport
        typealias Answer = Result<StatusAnswer, EtcdFailure>
        let answers = await withTaskGroup(of: (Int, Answer).self) { group in
            for endpoint in transport.endpoints.indices {
                group.addTask {
                    let answer = await Answer { () async throws(EtcdFailure) in
                        try await transport.once(
                            "maintenance/status", Array("{}".utf8), at: endpoint,
                            within: .milliseconds(Limits.etcdReadMilliseconds))
                    }
                    return (endpoint, answer)
                }
            }
            return await group.reduce(into: [(Int, Answer)]()) { $0.append($1) }
        }
        let versions = answers.compactMap { endpoint, answer -> (Int, String)? in
            guard case .success(let status) = answer else { return nil }
            return (endpoint, status.version)
        }
        guard !versions.isEmpty else {
            // Some endpoint must do; this waits for one, and says why none will.
            _ = try await get(MetadataKey.config)
            return nil
        }
        let old = versions.filter { EtcdVersion($0.1)?.isSound != true }.sorted { $0.0 < $1.0 }
        guard !old.isEmpty else { return nil }
        let list = old.map { "\(transport.endpoints[$0.0]) is \($0.1)" }.joined(separator: ", ")
        return "etcd is older than 3.4.42, 3.5.28 or 3.6.9 (\(list)): after a pause it may answer reads from the past "
            + "and end leases too early; upgrade it before production"
    }

    public func get(_ key: MetadataKey) async throws(MetadataError) -> MetadataRead<MetadataEntry?> {
        let answer = try await range(RangeRequest(key: keyspace.stored(key)))
        return MetadataRead(
            value: answer.kvs?.first.flatMap { keyspace.entry($0) }, revision: answer.header.metadataRevision)
    }

    /// In pages, all of the revision of the first; from the start again if that is compacted meanwhile.
    public func range(prefix: MetadataKey) async throws(MetadataError) -> MetadataRead<[MetadataEntry]> {
        var restarts = 0
        while true {
            do throws(MetadataError) {
                return try await pages(prefix: prefix)
            } catch {
                guard case .compacted = error, restarts < Limits.etcdRangeRestartsMax else { throw error }
                restarts += 1
            }
        }
    }

    private func pages(prefix: MetadataKey) async throws(MetadataError) -> MetadataRead<[MetadataEntry]> {
        var request = RangeRequest(
            key: keyspace.stored(prefix), range_end: keyspace.end(of: prefix),
            limit: WideNumber(Limits.etcdPageEntriesMax))
        var entries: [MetadataEntry] = []
        var revision: MetadataRevision?
        while true {
            let answer = try await range(request)
            let read = answer.kvs ?? []
            entries.append(contentsOf: read.compactMap { keyspace.entry($0) })
            guard entries.count <= Limits.etcdEntriesMax else {
                throw .unavailable(detail: "etcd has more than \(Limits.etcdEntriesMax) keys of this cluster")
            }
            let first = revision ?? answer.header.metadataRevision
            guard answer.more == true, let last = read.last else {
                return MetadataRead(value: entries, revision: first)
            }
            revision = first
            request.revision = WideNumber(first.rawValue)
            request.key = last.key + [0]
        }
    }

    private func range(_ request: RangeRequest) async throws(MetadataError) -> RangeAnswer {
        do throws(EtcdFailure) {
            return try await transport.call("kv/range", request, repeating: .always)
        } catch {
            throw transport.readError(error)
        }
    }

    public func transaction(_ transaction: MetadataTransaction) async throws(MetadataError) -> TransactionOutcome {
        let count = max(transaction.operations.count, transaction.conditions.count)
        guard count <= Limits.etcdTransactionOperationsMax else {
            throw .tooLarge(
                detail: "\(count) operations or conditions; etcd takes \(Limits.etcdTransactionOperationsMax)")
        }
        let byteCount = transaction.operations.reduce(0) { $0 + $1.byteCount }
        guard byteCount <= Limits.etcdTransactionBytesMax else {
            throw .tooLarge(detail: "\(byteCount) bytes; etcd takes \(Limits.etcdTransactionBytesMax)")
        }
        do throws(EtcdFailure) {
            let answer: TransactionAnswer = try await transport.call(
                "kv/txn", request(transaction), repeating: .ifNotDone,
                attempt: .milliseconds(Limits.etcdTransactionMilliseconds))
            let revision = answer.header.metadataRevision
            return answer.succeeded == true ? .committed(revision) : .conflict(revision)
        } catch {
            if error.message == EtcdFailure.leaseNotFound { throw .sessionEnded }
            if EtcdFailure.tooLarge.contains(error.message) { throw .tooLarge(detail: error.detail) }
            if error.message == EtcdFailure.spaceExceeded { throw .decidedUnread(detail: error.detail) }
            if error.effect == .unknown { throw .outcomeUnknown(detail: error.detail) }
            throw transport.readError(error)
        }
    }

    private func request(_ transaction: MetadataTransaction) -> TransactionRequest {
        // Without this read etcd takes a transaction that only compares as one that may be answered from the past.
        let read = RangeRequest(key: keyspace.stored(.config), count_only: true)
        let isReadOnly = transaction.operations.isEmpty
        return TransactionRequest(
            compare: transaction.conditions.map(compare),
            success: isReadOnly ? [.init(request_range: read)] : transaction.operations.map(operation),
            failure: isReadOnly ? [.init(request_range: read)] : [])
    }

    private func compare(_ condition: MetadataTransaction.Condition) -> TransactionRequest.Compare {
        switch condition {
        case .lastPut(let key, let revision):
            .init(
                key: keyspace.stored(key), target: "MOD", result: "EQUAL",
                mod_revision: WideNumber(revision.rawValue))
        case .created(let key, let revision):
            .init(
                key: keyspace.stored(key), target: "CREATE", result: "EQUAL",
                create_revision: WideNumber(revision.rawValue))
        case .notCreated(let key, let revision):
            .init(
                key: keyspace.stored(key), target: "CREATE", result: "NOT_EQUAL",
                create_revision: WideNumber(revision.rawValue))
        }
    }

    private func operation(_ operation: MetadataTransaction.Operation) -> TransactionRequest.Operation {
        switch operation {
        case .put(let key, let value, let session):
            .init(
                request_put: .init(
                    key: keyspace.stored(key), value: Data(value),
                    lease: session.map { WideNumber($0.rawValue) }))
        case .delete(let key): .init(request_delete_range: .init(key: keyspace.stored(key)))
        }
    }

    /// Goes on by itself, elsewhere if need be, when a connection breaks or an endpoint falls silent. A watcher that is
    /// `MetadataLimits.watchChangesMax` changes behind is told `compacted`.
    public func watch(
        prefix: MetadataKey, after revision: MetadataRevision
    ) -> AsyncThrowingStream<MetadataChange, any Error> {
        let (stream, continuation) = AsyncThrowingStream<MetadataChange, any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(MetadataLimits.watchChangesMax))
        let watch = EtcdWatch(
            transport: transport, keyspace: keyspace, prefix: prefix, after: revision, continuation: continuation)
        let task = Task { await watch.run() }
        continuation.onTermination = { _ in task.cancel() }
        return stream
    }

    /// - Parameter timeToLiveSeconds: etcd makes it at least one and a half times its election timeout.
    public func openSession(timeToLiveSeconds: UInt64) async throws(MetadataError) -> any MetadataSession {
        precondition(timeToLiveSeconds > 0, "a session lives for a while")
        do throws(EtcdFailure) {
            // A lease whose grant was not heard of expires by itself.
            let (answer, sent): (LeaseAnswer, ContinuousClock.Instant) = try await transport.timedCall(
                "lease/grant", LeaseRequest(TTL: WideNumber(timeToLiveSeconds)), repeating: .always,
                attempt: .milliseconds(Limits.etcdReadMilliseconds))
            guard let id = answer.ID?.value, let granted = answer.TTL?.value, granted > 0 else {
                throw EtcdFailure(effect: .none, remedy: .nothing, detail: "etcd granted no lease")
            }
            return EtcdSession(
                lease: EtcdLease(
                    id: SessionID(id), timeToLiveSeconds: granted, sent: sent, transport: transport))
        } catch {
            throw transport.readError(error)
        }
    }
}

extension MetadataTransaction.Operation {
    fileprivate var byteCount: Int {
        switch self {
        case .put(let key, let value, _): key.text.utf8.count + value.count
        case .delete(let key): key.text.utf8.count
        }
    }
}

extension EtcdTransport {
    /// What a failure means to a caller who asked for nothing that can have half happened.
    func readError(_ failure: EtcdFailure) -> MetadataError {
        if isClosed { return .closed }
        if failure.message == EtcdFailure.compacted { return .compacted(oldest: .zero) }
        return .unavailable(detail: failure.detail)
    }
}

extension Result {
    init(_ body: () async throws(Failure) -> Success) async {
        do throws(Failure) {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
