import ClusterCore
import HashRing
import Primitives

/// The smallest metadata store that keeps the contract: entries, one revision a change, conditions, sessions.
struct MemoryMetadata {
    private(set) var revision = MetadataRevision.zero
    private(set) var entries: [MetadataKey: MetadataEntry] = [:]
    private(set) var changes: [MetadataChange] = []
    private(set) var conflicts = 0

    var read: MetadataRead<[MetadataEntry]> {
        MetadataRead(value: entries.values.sorted { $0.key < $1.key }, revision: revision)
    }

    func entry(_ key: MetadataKey) -> MetadataEntry? { entries[key] }

    @discardableResult
    mutating func run(_ transaction: MetadataTransaction) -> TransactionOutcome {
        precondition(transaction.conditions.count <= Limits.transactionOperationsMax)
        precondition(transaction.operations.count <= Limits.transactionOperationsMax)
        guard transaction.conditions.allSatisfy(holds) else {
            conflicts += 1
            return .conflict(revision)
        }
        let next = revision.next
        var events: [MetadataChange.Event] = []
        for operation in transaction.operations {
            switch operation {
            case .put(let key, let value, let session):
                let created = entries[key]?.createRevision ?? next
                let entry = MetadataEntry(
                    key: key, value: value, createRevision: created, modRevision: next, session: session)
                entries[key] = entry
                events.append(.put(entry))
            case .delete(let key):
                if entries.removeValue(forKey: key) != nil { events.append(.delete(key)) }
            }
        }
        guard !events.isEmpty else { return .committed(revision) }
        revision = next
        changes.append(MetadataChange(revision: next, events: events.sorted { $0.key < $1.key }))
        return .committed(next)
    }

    mutating func end(_ session: SessionID) {
        run(MetadataTransaction(then: entries.values.filter { $0.session == session }.map { .delete($0.key) }))
    }

    /// For long runs, whose reader has seen them.
    mutating func forgetChanges() { changes = [] }

    /// A change of etcd that touches no key of ours: revisions skip.
    mutating func skipRevision() { revision = revision.next }

    private func holds(_ condition: MetadataTransaction.Condition) -> Bool {
        switch condition {
        case .lastPut(let key, let at): entries[key]?.modRevision ?? .zero == at
        case .created(let key, let at): entries[key]?.createRevision ?? .zero == at
        case .notCreated(let key, let at): entries[key]?.createRevision ?? .zero != at
        }
    }
}

extension NodeID {
    static func named(_ text: String) -> NodeID {
        guard let id = NodeID(text) else { preconditionFailure("\(text) is no name of a node") }
        return id
    }
}

extension NodeRecord {
    static func named(_ name: String, _ state: NodeState = .active, weight: UInt32 = 1000) -> NodeRecord {
        NodeRecord(
            id: .named(name), storeID: UniqueID(high: 1, low: UInt64(name.utf8.last ?? 0)), bootCount: 1, state: state,
            zone: "", weight: NodeWeight(thousandths: weight), addresses: NodeAddresses(listen: "\(name):7070"))
    }
}

/// A cluster whose shards lie with the first of `nodes`, all of them alive.
extension MemoryMetadata {
    static func founded(_ nodes: [String], shards: Int = 16) -> MemoryMetadata {
        var store = MemoryMetadata()
        let config = ClusterConfig(
            name: "test", clusterID: UniqueID(high: 1, low: 2), shardCount: shards, hash: RingHash(seed: 0),
            created: .zero)
        store.run(NewCluster(config, founder: .named(nodes[0])).transaction)
        for name in nodes.dropFirst() { store.put(.node(.named(name)), NodeRecord.named(name)) }
        for name in nodes { store.setAlive(.named(name), true) }
        return store
    }

    mutating func put(_ key: MetadataKey, _ record: some MetadataRecord, session: SessionID? = nil) {
        run(MetadataTransaction(then: [.put(key, record.encoded(), session: session)]))
    }

    mutating func setAlive(_ node: NodeID, _ alive: Bool) {
        if alive {
            put(.session(node), NodeSession(bootCount: 1), session: Self.session(of: node, revision))
        } else if let session = entries[.session(node)]?.session {
            end(session)
        }
    }

    private static func session(of node: NodeID, _ revision: MetadataRevision) -> SessionID {
        SessionID(XXH64.hash(Array(node.text.utf8), seed: revision.rawValue))
    }

    func map() throws -> ClusterMap {
        guard let map = try ClusterMap(read) else { preconditionFailure("the cluster has been founded") }
        return map
    }
}
