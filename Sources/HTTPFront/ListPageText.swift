public import Entities
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

extension ListPage {
    /// Makes the text of the page, which takes a while where it is long: on no event loop. Any thread.
    ///
    /// - Parameter yield: called between items, every few dozen.
    public mutating func makeText(withValues: Bool, yield: () -> Void) {
        var buffer = ByteBuffer()
        buffer.writePage(self, withValues: withValues, yield: yield)
        text = Array(buffer.readableBytesView)
        items = []
    }
}

extension ByteBuffer {
    private static let itemsBetweenYields = 32

    /// The answer to a list (API §1).
    mutating func writePage(_ page: ListPage, withValues: Bool, yield: () -> Void = {}) {
        writeStaticString("{\"items\":[")
        for (index, item) in page.items.enumerated() {
            if index % Self.itemsBetweenYields == 0 { yield() }
            if index > 0 { writeInteger(UInt8(ascii: ",")) }
            writeItem(item, withValue: withValues)
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

    private mutating func writeItem(_ item: ListPage.Item, withValue: Bool) {
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
