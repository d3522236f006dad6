import ClusterCore
import HashRing
import Primitives

/// Records of the metadata store that are put into a sound cluster, and everything that is decided on such a map:
/// nothing traps, what is read is written back as the same record, and all that is wanted can be put.
///
/// Input: entries one after the other, each a byte that names the key, a byte and a half of length (big-endian, 16
/// bits), and the value.
#if KEYSTEAD_FUZZ
    @_cdecl("LLVMFuzzerTestOneInput")
#endif
public func fuzzClusterRecords(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var input = Array(UnsafeBufferPointer(start: start, count: count))[...]
    var entries = foundation
    var revision = UInt64(entries.count) + 1
    while input.count >= 3 {
        let key = keys[Int(input.removeFirst()) % keys.count]
        let length = Int(input.removeFirst()) << 8 | Int(input.removeFirst())
        let value = Array(input.prefix(length))
        input = input.dropFirst(length)
        revision += 1
        entries[key] = MetadataEntry(
            key: key, value: value, createRevision: MetadataRevision(revision),
            modRevision: MetadataRevision(revision), session: SessionID(revision))
        checkRecord(value, key)
    }
    let read = MetadataRead(
        value: entries.values.sorted { $0.key < $1.key }, revision: MetadataRevision(revision))
    guard let map = try? ClusterMap(read) else { return 0 }
    decide(on: map)
    return 0
}

private func named(_ text: String) -> NodeID {
    guard let node = NodeID(text) else { preconditionFailure("\(text) is the name of a node") }
    return node
}

private let names = [named("n1"), named("n2"), named("n3")]

private let keys: [MetadataKey] =
    [.config, .mapRevision, .controller, .throttle] + names.map { .node($0) } + names.map { .session($0) }
    + (0..<4).map { .shard(ShardID($0)) } + (1...3).map { .operation(OperationID(number: $0)) }
    + [.operation(OperationID(number: Limits.counterMax)), MetadataKey("operations/x"), MetadataKey("shards/99")]

/// Three nodes that are alive, the first with all shards and the seat of the controller.
private let foundation: [MetadataKey: MetadataEntry] = {
    var records: [(MetadataKey, [UInt8])] = []
    let config = ClusterConfig(
        name: "fuzzed", clusterID: UniqueID(high: 1, low: 2), shardCount: 16, hash: RingHash(seed: 0), created: .zero)
    records.append((.config, config.encoded()))
    records.append((.mapRevision, MapRevision(1).encoded()))
    records.append((.controller, ControllerSeat(node: names[0]).encoded()))
    for name in names {
        let node = NodeRecord(
            id: name, storeID: UniqueID(high: 1, low: 1), bootCount: 1, state: .active, zone: "", weight: .one,
            addresses: NodeAddresses(listen: "h:1"))
        records.append((.node(name), node.encoded()))
        records.append((.session(name), NodeSession(bootCount: 1).encoded()))
    }
    let shard = ShardRecord(epoch: Epoch(1), primary: names[0], replicas: [names[0]], inSync: [names[0]])
    for id in Ring(shardCount: 16).shards { records.append((.shard(id), shard.encoded())) }
    var entries: [MetadataKey: MetadataEntry] = [:]
    for (index, (key, value)) in records.enumerated() {
        let revision = MetadataRevision(UInt64(index) + 1)
        entries[key] = MetadataEntry(
            key: key, value: value, createRevision: revision, modRevision: revision, session: SessionID(1))
    }
    return entries
}()

private func checkRecord(_ value: [UInt8], _ key: MetadataKey) {
    func same<Record: MetadataRecord & Equatable>(_ type: Record.Type) {
        guard let record = try? Record(decoding: value, of: key) else { return }
        let written = record.encoded()
        precondition(written.count <= MetadataLimits.valueBytesMax, "what was read can be written")
        precondition((try? Record(decoding: written, of: key)) == record, "a record is written as it was read")
    }
    same(ClusterConfig.self)
    same(NodeRecord.self)
    same(NodeSession.self)
    same(ShardRecord.self)
    same(OperationRecord.self)
    same(MapRevision.self)
    same(Throttle.self)
    same(ControllerSeat.self)
}

private func decide(on map: ClusterMap) {
    let now = Timestamp(milliseconds: 5)
    for node in names {
        _ = Controller.pass(map, as: node, now: now)
        _ = Controller.candidacy(of: node, session: nil, in: map)
        _ = NodeSession.announcement(of: node, bootCount: 2, session: SessionID(77), in: map)
        start(node, map)
    }
    let plan = RebalanceProposal.rebalance(map)
    _ = RebalanceProposal.drain(names[0], map)
    var commands: [AdminCommand] = [.commit(plan: plan.plan), .pauseRebalance, .resumeRebalance, .cancelRebalance]
    for node in names {
        commands += [
            .cordon(node), .uncordon(node), .drain(node), .remove(node), .weight(node, thousandths: 0),
            .move(ShardID(0), to: node),
        ]
    }
    for operation in map.operations {
        commands += [.pause(operation.id), .resume(operation.id), .cancel(operation.id)]
    }
    commands += [.throttle(bytesPerSecond: .max), .move(ShardID(.max), to: names[1])]
    for command in commands { _ = AdminDecision.decide(command, on: map, now: now) }
    for operation in map.operations {
        let progress = MoveProgress(
            operation: operation.id, bytesDone: Limits.peerReportBytesMax, bytesTotal: Limits.peerReportBytesMax,
            bytesPerSecond: Limits.peerReportBytesMax)
        let shards = operation.moves.map(\.shard)
        _ = OperationView(
            operation, in: map, progress: Dictionary(uniqueKeysWithValues: shards.map { ($0, progress) }),
            shardBytes: Dictionary(uniqueKeysWithValues: shards.map { ($0, Limits.peerReportBytesMax) }))
    }
    for shard in map.shardIDs { step(shard, map) }
}

private func start(_ node: NodeID, _ map: ClusterMap) {
    guard let record = map.node(node) else { return }
    let identity = NodeIdentity(
        cluster: map.config.clusterID, node: node, store: record.storeID, bootCount: record.bootCount,
        announcedBootCount: record.bootCount)
    _ = try? NodeStart.again(
        identity, clusterName: map.config.name, addresses: record.addresses, map: map,
        entry: MetadataEntry(
            key: .node(node), value: record.encoded(), createRevision: .zero, modRevision: .zero, session: nil))
}

private func step(_ shard: ShardID, _ map: ClusterMap) {
    guard let entry = map.shard(shard) else { preconditionFailure("a map knows its shards") }
    for node in names {
        _ = ShardRole(of: entry.record, for: node)
        _ = ShardRole.beforeStart(entry, for: node)
        _ = MoveStep.beginCopy(entry, by: node)
        _ = MoveStep.catchUp(entry, by: node)
        _ = MoveStep.enterHandover(entry, by: node)
        _ = MoveStep.handOver(shard, by: node, in: map)
        _ = MoveStep.finishRetire(entry, by: node)
    }
}
