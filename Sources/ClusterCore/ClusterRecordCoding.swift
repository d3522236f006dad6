internal import Entities
internal import HashRing
internal import JSON
internal import Primitives

extension ClusterConfig: MetadataRecord {
    public func encoded() -> [UInt8] {
        var writer = RecordWriter.record()
        writer["name"] = .text(name)
        writer["cluster"] = .text(clusterID)
        writer["shards"] = .count(UInt64(shardCount))
        writer["hash"] = .text(RingHash.algorithm)
        writer["hash-version"] = .count(UInt64(RingHash.version))
        writer["hash-seed"] = .text(hash.seed.hexadecimal)
        writer["created-ms"] = .count(created.milliseconds)
        return writer.encoded()
    }

    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        let reader = try RecordReader(value, of: key)
        guard try reader.text("hash") == RingHash.algorithm else { throw reader.malformed("hash") }
        guard try reader.count("hash-version") == UInt64(RingHash.version) else {
            throw reader.malformed("hash-version")
        }
        let shardCount = Int(clamping: try reader.count("shards"))
        guard Ring.isShardCount(shardCount), shardCount <= Limits.shardsMax else { throw reader.malformed("shards") }
        self.init(
            name: try reader.text("name"), clusterID: try reader.named("cluster") { UniqueID($0) },
            shardCount: shardCount,
            hash: RingHash(seed: try reader.named("hash-seed") { UInt64(hexadecimal: $0[...]) }),
            created: try reader.time("created-ms"))
    }
}

extension NodeRecord: MetadataRecord {
    public func encoded() -> [UInt8] {
        var writer = RecordWriter.record()
        writer["id"] = .text(id)
        writer["store"] = .text(storeID)
        writer["boots"] = .count(bootCount)
        writer["state"] = .text(state.rawValue)
        writer["zone"] = .text(zone)
        writer["weight-thousandths"] = .count(UInt64(weight.thousandths))
        writer["listen"] = .text(addresses.listen)
        writer["admin"] = .text(addresses.admin)
        writer["peer"] = .text(addresses.peer)
        return writer.encoded()
    }

    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        let reader = try RecordReader(value, of: key)
        let thousandths = try reader.count("weight-thousandths")
        guard thousandths <= UInt64(NodeWeight.thousandthsMax) else { throw reader.malformed("weight-thousandths") }
        self.init(
            id: try reader.named("id") { NodeID($0) }, storeID: try reader.named("store") { UniqueID($0) },
            bootCount: try reader.counter("boots", max: Limits.bootCountMax),
            state: try reader.named("state") { NodeState(rawValue: $0) },
            zone: try reader.text("zone"), weight: NodeWeight(thousandths: UInt32(thousandths)),
            addresses: NodeAddresses(
                listen: try reader.text("listen"), admin: try reader.text("admin"), peer: try reader.text("peer")))
    }
}

extension NodeSession: MetadataRecord {
    public func encoded() -> [UInt8] {
        var writer = RecordWriter.record()
        writer["boots"] = .count(bootCount)
        return writer.encoded()
    }

    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        self.init(bootCount: try RecordReader(value, of: key).counter("boots", max: Limits.bootCountMax))
    }
}

extension ShardRecord: MetadataRecord {
    public func encoded() -> [UInt8] {
        var writer = RecordWriter.record()
        writer["epoch"] = .count(epoch.rawValue)
        writer["primary"] = .text(primary)
        writer["replicas"] = .array(replicas.map { .text($0) })
        writer["in-sync"] = .array(inSync.map { .text($0) })
        if let move { writer["move"] = .object(move.members) }
        return writer.encoded()
    }

    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        let reader = try RecordReader(value, of: key)
        let primary = try reader.named("primary") { NodeID($0) }
        let replicas = try reader.list("replicas") { $0.text.flatMap { NodeID($0) } }
        let inSync = try reader.list("in-sync") { $0.text.flatMap { NodeID($0) } }
        guard replicas.contains(primary), replicas.count <= Limits.shardReplicasMax else {
            throw reader.malformed("replicas")
        }
        guard inSync.contains(primary), inSync.allSatisfy(replicas.contains) else { throw reader.malformed("in-sync") }
        self.init(
            epoch: Epoch(try reader.counter("epoch")), primary: primary, replicas: replicas, inSync: inSync,
            move: try reader.nested("move").map { reader throws(RecordError) in try ShardMove(reader) })
    }
}

extension ShardMove {
    fileprivate var members: JSONObject {
        var writer = RecordWriter()
        writer["stage"] = .text(stage.rawValue)
        writer["from"] = .text(from)
        writer["to"] = .text(to)
        writer["operation"] = .text(operation)
        return writer.object
    }

    fileprivate init(_ reader: RecordReader) throws(RecordError) {
        self.init(
            stage: try reader.named("stage") { Stage(rawValue: $0) }, from: try reader.named("from") { NodeID($0) },
            to: try reader.named("to") { NodeID($0) }, operation: try reader.named("operation") { OperationID($0) })
    }
}

extension MapRevision: MetadataRecord {
    public func encoded() -> [UInt8] {
        var writer = RecordWriter.record()
        writer["revision"] = .count(rawValue)
        return writer.encoded()
    }

    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        self.init(try RecordReader(value, of: key).counter("revision"))
    }
}
