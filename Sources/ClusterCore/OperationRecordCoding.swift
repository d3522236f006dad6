internal import Entities
internal import HashRing
internal import JSON
internal import Primitives

extension OperationRecord: MetadataRecord {
    public func encoded() -> [UInt8] {
        var writer = RecordWriter.record()
        writer["id"] = .text(id)
        writer["kind"] = .text(kind.rawValue)
        writer["state"] = .text(state.rawValue)
        writer["plan"] = plan.map { .text($0) }
        writer["node"] = node.map { .text($0) }
        writer["moves"] = .array(
            moves.map { move in
                var writer = RecordWriter()
                writer["shard"] = .count(UInt64(move.shard.rawValue))
                writer["from"] = .text(move.from)
                writer["to"] = .text(move.to)
                return .object(writer.object)
            })
        writer["bytes-per-second"] = .count(bytesPerSecond)
        writer["created-ms"] = .count(created.milliseconds)
        writer["finished-ms"] = finished.map { .count($0.milliseconds) }
        writer["detail"] = .text(detail)
        return writer.encoded()
    }

    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        let reader = try RecordReader(value, of: key)
        let moves = try reader.nestedList("moves") { reader throws(RecordError) in
            let shard = try reader.counter("shard", max: UInt64(Limits.shardsMax - 1))
            return PlannedMove(
                shard: ShardID(UInt32(shard)), from: try reader.named("from") { NodeID($0) },
                to: try reader.named("to") { NodeID($0) })
        }
        guard Set(moves.map(\.shard)).count == moves.count else { throw reader.malformed("moves") }
        self.init(
            id: try reader.named("id") { OperationID($0) }, kind: try reader.named("kind") { Kind(rawValue: $0) },
            state: try reader.named("state") { State(rawValue: $0) },
            plan: try reader.optionalNamed("plan") { PlanID($0) },
            node: try reader.optionalNamed("node") { NodeID($0) }, moves: moves,
            bytesPerSecond: try reader.count("bytes-per-second"),
            created: try reader.time("created-ms"), finished: try reader.optionalTime("finished-ms"),
            detail: try reader.text("detail", bytesMax: 2 * Limits.operationDetailBytesMax))
        guard MetadataKey.operation(id) == key || key.operationID == nil else { throw reader.malformed("id") }
    }
}

extension Throttle: MetadataRecord {
    public func encoded() -> [UInt8] {
        var writer = RecordWriter.record()
        writer["bytes-per-second"] = .count(bytesPerSecond)
        return writer.encoded()
    }

    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        self.init(bytesPerSecond: try RecordReader(value, of: key).count("bytes-per-second"))
    }
}

extension ControllerSeat: MetadataRecord {
    public func encoded() -> [UInt8] {
        var writer = RecordWriter.record()
        writer["node"] = .text(node)
        return writer.encoded()
    }

    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        self.init(node: try RecordReader(value, of: key).named("node") { NodeID($0) })
    }
}
