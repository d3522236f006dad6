import Entities
import Glibc
import HashRing
import Primitives
import RocksStore

/// Makes one page of a list: entities in ring order, from where the page before ended, over some shards of this node.
///
/// No snapshot lasts longer than one shard's part of one turn. An entity that exists throughout keeps its place in ring
/// order, so it is met exactly once. A page ends early when it is large or has looked at many rows; its cursor goes on.
struct Lister: Sendable {
    let table: ShardTable
    let time: NodeTime
    /// Of the records of a page, before its last one.
    let pageBytesMax: Int

    enum Progress {
        /// The page is full, or its shards have come to their end.
        case complete
        /// There is more to be looked at.
        case paused
        /// A shard is not this node's, or is just being given away: the page is worth nothing.
        case notHere
    }

    /// Looks at rows until the page is complete or `mustPause` says so, which is asked every few hundred rows.
    ///
    /// Blocks on the disk: on a thread of the ``ScanPool``.
    func advance(_ scan: inout RangeScan, _ mustPause: () -> Bool) -> Progress {
        var scanned: [ShardHost] = []
        scan.beginTurn(now: time.now(), bytesMax: pageBytesMax)
        while let shard = scan.shard(in: table.ring) {
            switch table[shard] {
            case .served(let host) where host.isServing:
                do {
                    try look(through: host, &scan, mustPause)
                } catch {
                    // A store that was closed because the shard has gone is not damaged.
                    guard host.isServing else { return .notHere }
                    if !error.passes { host.noteDamage("\(error)") }
                    scan.miss(shard)
                }
                scanned.append(host)
            case .served(let host) where host.hasFailed: scan.miss(shard)
            case .unavailable: scan.miss(shard)
            case .served, .elsewhere: return .notHere
            }
            if scan.isFull || scan.isPaused { break }
            scan.finish(shard, of: table.ring)
        }
        // Ownership is checked after the read (rule R13).
        guard scanned.allSatisfy(\.isServing) else { return .notHere }
        return scan.isPaused ? .paused : .complete
    }

    private func look(
        through host: ShardHost, _ scan: inout RangeScan, _ mustPause: () -> Bool
    ) throws(StoreError) {
        let lower = scan.lowerBound
        try host.store.scan(from: lower, below: [StoreRows.entityFamily + 1]) { key, value in
            guard scan.take(key: key, value: value) else { return .stop }
            guard scan.isDueForALook else { return .next }
            scan.looked()
            guard mustPause() else { return .next }
            scan.pause(behind: key)
            return .stop
        }
    }
}

/// A page over some neighbouring shards as it grows, turn by turn.
struct RangeScan: Sendable {
    private let request: ListRequest
    private let shards: ClosedRange<UInt32>
    /// Whether the states of entities are taken into the page, or only their numbers of bytes.
    private let keepsStates: Bool
    private var now = Timestamp.zero
    /// Of the records of the page, before its last one.
    private var bytesMax = Limits.listBytesMax
    private var items: [ListPage.Item] = []
    private var missing: [ShardID] = []
    private(set) var isFull = false
    /// The turn is over, and the page is not.
    private(set) var isPaused = false
    /// Everything up to here has been looked at.
    private var cursor: ListCursor?
    /// All shards have been looked through.
    private var isAtEnd = false
    private var pageBytes = 0
    private var rowsSeen = 0
    private var rowsSinceLook = 0
    private var bytesSinceLook = 0

    private static let keyBytesMax = Limits.kindBytesMax + 1 + Limits.idBytesMax

    /// From the request's cursor, or the first of `shards`.
    init(_ request: ListRequest, over shards: ClosedRange<UInt32>, keepsStates: Bool) {
        self.request = request
        self.shards = shards
        self.keepsStates = keepsStates
        cursor = request.after
    }

    /// The page as far as it has come, with a cursor where it ended before its shards did; its `missing` names those of
    /// them that cannot answer.
    func page(of ring: Ring) -> ListPage {
        ListPage(items: items, next: isAtEnd ? nil : cursor, shardCount: ring.shardCount, missing: missing)
    }

    // MARK: Shards

    mutating func beginTurn(now: Timestamp, bytesMax: Int) {
        self.now = now
        self.bytesMax = bytesMax
        isPaused = false
    }

    /// The shard to look through, or `nil` at the end.
    func shard(in ring: Ring) -> ShardID? {
        guard !isAtEnd else { return nil }
        let place = cursor.map { ring.shard(of: $0.ringHash).rawValue } ?? 0
        return place <= shards.upperBound ? ShardID(max(place, shards.lowerBound)) : nil
    }

    /// The shard cannot answer.
    mutating func miss(_ shard: ShardID) { missing.append(shard) }

    /// The shard has been looked through, or cannot be.
    mutating func finish(_ shard: ShardID, of ring: Ring) {
        guard shard.rawValue < shards.upperBound else {
            isAtEnd = true
            return
        }
        cursor = ListCursor(ringHash: ring.arc(of: shard).upperBound + 1, keyBytes: [])
    }

    /// The first row after the cursor.
    var lowerBound: [UInt8] {
        var writer = ByteWriter(reserving: 16)
        writer.write(StoreRows.entityFamily)
        guard let cursor else { return writer.bytes }
        writer.writeBigEndian(cursor.ringHash)
        writer.write(cursor.keyBytes)
        // The least row above an exact key is that key and a zero byte.
        if !cursor.keyBytes.isEmpty { writer.write(UInt8(0)) }
        return writer.bytes
    }

    // MARK: Rows

    /// Looks at one row; false ends the page, before the row. Of a row that is not wanted nothing is copied.
    mutating func take(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Bool {
        if items.count == request.itemsMax || pageBytes >= bytesMax || rowsSeen >= Limits.listRowsScannedMax {
            isFull = true
            return false
        }
        rowsSeen += 1
        rowsSinceLook += 1
        bytesSinceLook += value.count
        // A row that is no entity's has come in with the files of another node: it is nobody's.
        guard (10...9 + Self.keyBytesMax).contains(key.count) else { return true }
        let name = UnsafeRawBufferPointer(rebasing: key[9...])
        if isWanted(name), let item = item(name, value) {
            items.append(item)
            pageBytes += item.byteCount
            pass(key)
        } else if rowsSeen == Limits.listRowsScannedMax {
            pass(key)
        }
        return true
    }

    private func isWanted(_ name: UnsafeRawBufferPointer) -> Bool {
        request.keyPrefix.withUnsafeBytes { prefix in
            guard name.count >= prefix.count, let start = name.baseAddress, let wanted = prefix.baseAddress else {
                return false
            }
            return memcmp(start, wanted, prefix.count) == 0
        }
    }

    private func item(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> ListPage.Item? {
        if keepsStates {
            guard let record = StoredRecord(decoding: Array(value)), !record.isExpired(at: now) else { return nil }
            return ListPage.Item(keyBytes: Array(name), record: record)
        }
        let head = StoredRecord.headBytes(of: value)
        guard let head, let record = StoredRecord(decoding: Array(value.prefix(head))), !record.isExpired(at: now)
        else { return nil }
        return ListPage.Item(keyBytes: Array(name), record: record, stateByteCount: value.count - head)
    }

    private mutating func pass(_ key: UnsafeRawBufferPointer) {
        let hash = key.loadUnaligned(fromByteOffset: 1, as: UInt64.self)
        cursor = ListCursor(ringHash: UInt64(bigEndian: hash), keyBytes: Array(key[9...]))
    }

    // MARK: Turns

    /// Whether the clock is to be looked at.
    var isDueForALook: Bool {
        rowsSinceLook >= Limits.listLookRowsMax || bytesSinceLook >= Limits.listLookBytesMax
    }

    mutating func looked() {
        rowsSinceLook = 0
        bytesSinceLook = 0
    }

    /// Ends the turn behind a row that has been looked at.
    mutating func pause(behind key: UnsafeRawBufferPointer) {
        pass(key)
        isPaused = true
    }
}
