internal import Entities
internal import NIOCore
internal import Primitives
internal import Serving

enum ListPageText {
    /// What `require=full` answers when a page is not.
    static func missingProblem(_ missing: [ShardID]) -> Problem {
        let shown = missing.prefix(shardsShownMax).map(\.description).joined(separator: ", ")
        let rest = missing.count > shardsShownMax ? " and \(missing.count - shardsShownMax) more" : ""
        return Problem(.shardUnavailable, "no answer from shards \(shown)\(rest)")
    }

    private static let shardsShownMax = 32
}

/// How the text of a page is made.
struct PageTextShape {
    let withValues: Bool
    /// Of the cluster's ring: a page that ends early says where in ring order.
    let ringSeed: UInt64
    /// The page ends early behind the item that brings its text here.
    let textBytesMax: Int
    /// Now, which tells the seconds that entities have left.
    let secondsSince1970: UInt64
}

/// Makes the text of a page ahead, as JSON.
struct JSONPageRenderer: PageRenderer {
    let withValues: Bool
    /// As ``PageTextShape/ringSeed``.
    let ringSeed: UInt64

    func render(_ page: inout ListPage, textBytesMax: Int, now: Timestamp, yield: () -> Void) {
        let shape = PageTextShape(
            withValues: withValues, ringSeed: ringSeed, textBytesMax: textBytesMax,
            secondsSince1970: now.milliseconds / 1000)
        var buffer = ByteBuffer()
        buffer.writePage(page, shape: shape, yield: yield)
        page.text = buffer.withUnsafeReadableBytes { Array($0) }
        page.items = []
    }
}

extension ByteBuffer {
    private static let itemsBetweenYields = 32

    /// The answer to a list (Contract §1.8). Text can be several times as long as the values that it shows, so it has a
    /// bound of its own: behind the item that passes it the page ends, and its cursor goes on there.
    mutating func writePage(_ page: ListPage, shape: PageTextShape, yield: () -> Void = {}) {
        writeStaticString("{\"items\":[")
        var next = page.next
        for (index, item) in page.items.enumerated() {
            if index % Self.itemsBetweenYields == 0 { yield() }
            if index > 0 { writeInteger(UInt8(ascii: ",")) }
            writeItem(item, withValue: shape.withValues, now: shape.secondsSince1970)
            if readableBytes >= shape.textBytesMax, index + 1 < page.items.count {
                next = ListCursor(
                    ringHash: XXH64.hash(item.keyBytes, seed: shape.ringSeed), keyBytes: item.keyBytes)
                break
            }
        }
        writeStaticString("],\"cursor\":")
        if let next {
            writeInteger(UInt8(ascii: "\""))
            writeBytes(CursorText.encode(next))
            writeInteger(UInt8(ascii: "\""))
        } else {
            writeStaticString("null")
        }
        writeStaticString(",\"harvest\":{\"answered\":")
        writeDecimal(page.shardCount - page.missing.count)
        writeStaticString(",\"of\":")
        writeDecimal(page.shardCount)
        writeStaticString(",\"missing\":[")
        for (index, shard) in page.missing.enumerated() {
            if index > 0 { writeInteger(UInt8(ascii: ",")) }
            writeDecimal(UInt64(shard.rawValue))
        }
        writeStaticString("]}}")
    }

    private mutating func writeItem(_ item: ListPage.Item, withValue: Bool, now: UInt64) {
        let record = item.record
        writeStaticString("{\"key\":")
        writeJSONString(item.keyBytes)
        writeStaticString(",\"etag\":")
        writeTagText(record.version)
        writeStaticString(",\"bytes\":")
        writeDecimal(item.stateByteCount)
        writeStaticString(",\"content-type\":")
        writeContentTypeText(record)
        writeStaticString(",\"updated\":\"")
        writeRFC3339(record.updatedAt)
        writeInteger(UInt8(ascii: "\""))
        if let seconds = record.secondsLeft(at: now) {
            writeStaticString(",\"ttl\":")
            writeDecimal(seconds)
        }
        if withValue { writeValueMember(record) }
        writeInteger(UInt8(ascii: "}"))
    }

    /// The quoted tag as a JSON string: `"\"1234\""`.
    mutating func writeTagText(_ version: Position) {
        writeStaticString("\"\\\"")
        writeDecimal(version.rawValue)
        writeStaticString("\\\"\"")
    }

    mutating func writeContentTypeText(_ record: StoredRecord) {
        if record.contentType.isEmpty || !OperationChecks.isFieldText(record.contentType) {
            writeStaticString("\"application/octet-stream\"")
        } else {
            writeJSONString(record.contentType)
        }
    }
}

extension StoredRecord {
    /// Whole seconds until the entity reads as absent, at least 1, never more than the `ttl` that it was put with;
    /// `nil` where it has no expiry.
    ///
    /// - Parameter now: seconds since 1970.
    func secondsLeft(at now: UInt64) -> UInt64? {
        expiresAt.map { expiry in
            let end = expiry.milliseconds / 1000
            return min(end > now ? end - now : 1, Limits.ttlSecondsMax)
        }
    }
}
