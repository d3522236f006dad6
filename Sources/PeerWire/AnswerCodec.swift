internal import Entities
internal import Primitives

/// ``Entities/Answer``: a byte that tells the case, then
///
/// | case | offset | bytes | field |
/// | --- | --- | --- | --- |
/// | 1 found, 2 notModified | 1 | 4 | shard |
/// | | 5 | 8 | position |
/// | | 13 | 4 + n | length and bytes of a record (``Entities/StoredRecord``) |
/// | 3 written | 1 | 1 | flags: bit 0, replayed; 1, a representation follows |
/// | | 2 | 2 | status |
/// | | 4 | 8 | version |
/// | | 12 | 4 | shard |
/// | | 16 | 8 | position |
/// | | 24 | 4 + n | length and bytes of a record (with bit 1) |
/// | 4 outcome | 1 | 2 | status |
/// | | 3 | 8 | version |
/// | | 11 | 4 | shard |
/// | | 15 | 8 | position |
/// | 5 page | 1 | … | ``Entities/ListPage`` |
/// | 6 refused | 1 | 1 | flags: bit 0, the current version follows; 1, shard and position follow |
/// | | 2 | 1 | code (the raw value of ``Entities/ProblemCode``) |
/// | | 3 | 2 + m | length and text of the detail |
/// | | … | 8 | current version (with bit 0) |
/// | | … | 4 + 8 | shard and position (with bit 1) |
extension Answer {
    private static let replayedFlag: UInt8 = 1
    private static let representationFlag: UInt8 = 2
    private static let versionFlag: UInt8 = 1
    private static let positionFlag: UInt8 = 2

    init(from input: inout WireInput) throws(PeerWireError) {
        switch try input.uint8() {
        case 1:
            let place = try input.shardPosition()
            self = .found(try StoredRecord(from: &input), place)
        case 2:
            let place = try input.shardPosition()
            self = .notModified(try StoredRecord(from: &input), place)
        case 3:
            let flags = try input.flags(known: Self.replayedFlag | Self.representationFlag)
            let status = try Self.status(from: &input)
            // A 204 has no body: one would be taken for the next answer.
            guard flags & Self.representationFlag == 0 || status == 200 else {
                throw .malformed("a state with an answer that has none")
            }
            let version = try input.position()
            let place = try input.shardPosition()
            self = .written(
                status: status, version: version, place,
                representation: flags & Self.representationFlag == 0 ? nil : try StoredRecord(from: &input),
                replayed: flags & Self.replayedFlag != 0)
        case 4:
            let status = try Self.status(from: &input)
            let version = try input.position()
            self = .outcome(status: status, version: version, try input.shardPosition())
        case 5: self = .page(try ListPage(from: &input))
        case 6:
            let flags = try input.flags(known: Self.versionFlag | Self.positionFlag)
            guard let code = ProblemCode(rawValue: try input.uint8()) else { throw .malformed("a problem is unknown") }
            let problem = Problem(code, try input.text(bytesMax: Limits.peerTextBytesMax))
            let version = flags & Self.versionFlag == 0 ? nil : try input.position()
            let place = flags & Self.positionFlag == 0 ? nil : try input.shardPosition()
            self = .refused(problem, currentVersion: version, place)
        default: throw .malformed("an answer is unknown")
        }
    }

    /// Of a write that took effect.
    private static func status(from input: inout WireInput) throws(PeerWireError) -> UInt16 {
        let status = try input.uint16()
        guard status == 200 || status == 204 else { throw .malformed("a write cannot end in this status") }
        return status
    }

    func write<Output: WireOutput>(to output: inout Output) {
        switch self {
        case .found(let record, let place):
            output.write(UInt8(1))
            output.write(place)
            record.write(to: &output)
        case .notModified(let record, let place):
            output.write(UInt8(2))
            output.write(place)
            record.write(to: &output)
        case .written(let status, let version, let place, let representation, let replayed):
            output.write(UInt8(3))
            output.write((replayed ? Self.replayedFlag : 0) | (representation == nil ? 0 : Self.representationFlag))
            output.write(status)
            output.write(version)
            output.write(place)
            representation?.write(to: &output)
        case .outcome(let status, let version, let place):
            output.write(UInt8(4))
            output.write(status)
            output.write(version)
            output.write(place)
        case .page(let page):
            output.write(UInt8(5))
            page.write(to: &output)
        case .refused(let problem, let currentVersion, let place):
            output.write(UInt8(6))
            output.write((currentVersion == nil ? 0 : Self.versionFlag) | (place == nil ? 0 : Self.positionFlag))
            output.write(problem.code.rawValue)
            output.write(problem.detail, bytesMax: Limits.peerTextBytesMax)
            if let currentVersion { output.write(currentVersion) }
            if let place { output.write(place) }
        }
    }
}

/// ``Entities/StoredRecord``: 4 bytes of length, then the record byte for byte as it lies in the store (format version
/// 1). It is copied once, into an array that the record keeps.
extension StoredRecord {
    private static let formatVersion: UInt8 = 1
    private static let expiryFlag: UInt8 = 1

    init(from input: inout WireInput) throws(PeerWireError) {
        guard let record = StoredRecord(decoding: try input.longArray()),
            record.version.rawValue <= Limits.counterMax, record.state.count <= Limits.entityBytesCeiling
        else { throw .malformed("not a record") }
        self = record
    }

    func write<Output: WireOutput>(to output: inout Output) {
        output.write(UInt32(encodedCount))
        output.write(Self.formatVersion)
        output.write(expiresAt == nil ? 0 : Self.expiryFlag)
        output.write(UInt8(contentType.count))
        output.write(version)
        output.write(updatedAt.milliseconds)
        if let expiresAt { output.write(expiresAt.milliseconds) }
        output.write(contentType)
        output.write(state)
    }
}

/// ``Entities/ListPage``:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | flags: bit 0, a cursor follows |
/// | 1 | 4 | shards of the cluster |
/// | 5 | 4 | m, shards that could not answer |
/// | 9 | 4 m | those shards |
/// | … | c | cursor of the next page (with bit 0): ``Entities/ListCursor`` |
/// | … | 4 | number of items |
/// | … | … | items, one after the other: |
/// | +0 | 2 | k, length of `kind/id` |
/// | +2 | k | `kind/id` |
/// | … | 4 + n | length and bytes of a record (``Entities/StoredRecord``) |
extension ListPage {
    private static let cursorFlag: UInt8 = 1
    /// Lengths of an item's key and record.
    private static let itemBytesMin = 6

    init(from input: inout WireInput) throws(PeerWireError) {
        let flags = try input.flags(known: Self.cursorFlag)
        let shardCount = Int(try input.uint32())
        guard shardCount == input.ring.shardCount else { throw .malformed("a page of another ring") }
        let missingCount = try input.count(max: shardCount, bytesEach: 4)
        var missing: [ShardID] = []
        missing.reserveCapacity(missingCount)
        for _ in 0..<missingCount { missing.append(try input.shard()) }
        let next = flags & Self.cursorFlag == 0 ? nil : try ListCursor(from: &input)
        let itemCount = try input.count(max: Limits.listItemsMax, bytesEach: Self.itemBytesMin)
        var items: [Item] = []
        items.reserveCapacity(itemCount)
        var last: EntityKey?
        for _ in 0..<itemCount {
            let keyBytes = Int(try input.uint16())
            let key = try EntityKey(from: &input, count: keyBytes)
            // In ring order, so that none comes twice.
            guard last.map({ $0.isBefore(key) }) ?? true else { throw .malformed("items out of order") }
            last = key
            items.append(Item(keyBytes: key.bytes, record: try StoredRecord(from: &input)))
        }
        self.init(items: items, next: next, shardCount: shardCount, missing: missing)
    }

    func write<Output: WireOutput>(to output: inout Output) {
        output.write(next == nil ? 0 : Self.cursorFlag)
        output.write(UInt32(shardCount))
        output.write(UInt32(missing.count))
        for shard in missing { output.write(shard) }
        next?.write(to: &output)
        output.write(UInt32(items.count))
        for item in items {
            output.write(UInt16(item.keyBytes.count))
            output.write(item.keyBytes)
            item.record.write(to: &output)
        }
    }
}

extension EntityKey {
    /// Ring order: by hash, then by bytes.
    func isBefore(_ other: EntityKey) -> Bool {
        ringHash == other.ringHash ? bytes.lexicographicallyPrecedes(other.bytes) : ringHash < other.ringHash
    }
}
