internal import Entities
internal import NIOCore
internal import Primitives

enum ListPageText {
    /// What `require=full` answers when a page is not.
    static func missingProblem(_ missing: [ShardID]) -> Problem {
        let shown = missing.prefix(shardsShownMax).map(\.description).joined(separator: ", ")
        let rest = missing.count > shardsShownMax ? " and \(missing.count - shardsShownMax) more" : ""
        return Problem(.shardUnavailable, "no answer from shards \(shown)\(rest)")
    }

    private static let shardsShownMax = 32
}

extension ByteBuffer {
    /// The answer to a list (API §1).
    ///
    /// - Parameter now: seconds since 1970.
    mutating func writePage(_ page: ListPage, withValues: Bool, now: UInt64) {
        writeStaticString("{\"items\":[")
        for (index, item) in page.items.enumerated() {
            if index > 0 { writeInteger(UInt8(ascii: ",")) }
            writeItem(item, withValue: withValues, now: now)
        }
        writeStaticString("],\"cursor\":")
        if let next = page.next {
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
        writeDecimal(record.state.count)
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
        if record.contentType.isEmpty {
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
