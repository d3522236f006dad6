import Entities
import HashRing
import Primitives
import RocksStore

/// Makes one page of a list: entities in ring order, from where the page before ended, over some shards of this node.
///
/// No snapshot lasts longer than one shard's part of one page. An entity that exists throughout keeps its place in ring
/// order, so it is met exactly once. A page ends early when it is large or has looked at many rows; its cursor goes on.
struct Lister: Sendable {
    let table: ShardTable
    let time: NodeTime
    /// Of the records of a page, before its last one.
    let pageBytesMax: Int

    /// The page over `shards`, from the request's cursor or the first of them; its `missing` names those of them that
    /// cannot answer. `nil`: one of them is not this node's, or is just being given away, and nothing was listed.
    ///
    /// Blocks on the disk: on a thread of the read pool.
    func page(_ request: ListRequest, over shards: ClosedRange<UInt32>) -> ListPage? {
        var page = PageBuilder(request: request, bytesMax: pageBytesMax, now: time.now())
        var missing: [ShardID] = []
        var scanned: [ShardHost] = []
        for shard in shards.map({ ShardID($0) }) {
            switch table[shard] {
            case .served(let host) where host.isServing:
                do {
                    try scan(host, into: &page, request)
                } catch {
                    // A store that was closed because the shard has gone is not damaged.
                    guard host.isServing else { return nil }
                    host.noteDamage("\(error)")
                    missing.append(shard)
                    page.skip(past: table.ring.arc(of: shard).upperBound)
                }
                scanned.append(host)
            case .served(let host) where host.hasFailed: missing.append(shard)
            case .unavailable: missing.append(shard)
            case .served, .elsewhere: return nil
            }
            if page.isFull { break }
        }
        // Ownership is checked after the read (rule R13).
        guard scanned.allSatisfy(\.isServing) else { return nil }
        return ListPage(items: page.items, next: page.next, shardCount: table.ring.shardCount, missing: missing)
    }

    private func scan(_ host: ShardHost, into page: inout PageBuilder, _ request: ListRequest) throws(StoreError) {
        let lower = page.lowerBound
        try host.store.scan(from: lower, below: [StoreRows.entityFamily + 1]) { key, value in
            page.take(key: key, value: value) ? .next : .stop
        }
    }
}

/// A page as it grows.
private struct PageBuilder {
    let request: ListRequest
    let bytesMax: Int
    let now: Timestamp
    private(set) var items: [ListPage.Item] = []
    private(set) var isFull = false
    private var cursor: ListCursor?
    private var bytes = 0
    private var rowsSeen = 0

    init(request: ListRequest, bytesMax: Int, now: Timestamp) {
        self.request = request
        self.bytesMax = bytesMax
        self.now = now
        cursor = request.after
    }

    /// Where the next page begins; `nil` once the scan has come to the end.
    var next: ListCursor? { isFull ? cursor : nil }

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

    /// The shard failed half way: the scan goes on behind it.
    mutating func skip(past lastHash: UInt64) {
        guard lastHash < .max else { return }
        cursor = ListCursor(ringHash: lastHash + 1, keyBytes: [])
    }

    /// Looks at one row; false ends the page, before the row.
    mutating func take(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Bool {
        if items.count == request.itemsMax || bytes >= bytesMax || rowsSeen >= Limits.listRowsScannedMax {
            isFull = true
            return false
        }
        rowsSeen += 1
        let name = UnsafeRawBufferPointer(rebasing: key[9...])
        let isWanted =
            name.count >= request.keyPrefix.count
            && name.prefix(request.keyPrefix.count).elementsEqual(request.keyPrefix)
        if isWanted, let record = StoredRecord(decoding: Array(value)), !record.isExpired(at: now) {
            items.append(ListPage.Item(keyBytes: Array(name), record: record))
            bytes += record.encodedCount
        } else if rowsSeen < Limits.listRowsScannedMax {
            return true
        }
        let hash = key.loadUnaligned(fromByteOffset: 1, as: UInt64.self)
        cursor = ListCursor(ringHash: UInt64(bigEndian: hash), keyBytes: Array(name))
        return true
    }
}
