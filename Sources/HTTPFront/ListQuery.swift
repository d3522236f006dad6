internal import Entities
internal import Primitives

/// The query of a list (Contract §1.8): `prefix`, `limit`, `cursor`, `values`, `require`.
enum ListQuery {
    static func read(
        _ query: [UInt8], kind: ArraySlice<UInt8>, ringSeed: UInt64
    ) throws(Problem) -> (ListRequest, ListShape) {
        let parameters = try QueryParameters(query, known: ["prefix", "limit", "cursor", "values", "require"])
        let prefix = parameters.value("prefix") ?? []
        guard prefix.count <= FrontLimits.listPrefixBytesMax else {
            throw Problem(.badRequest, "prefix may have at most \(FrontLimits.listPrefixBytesMax) bytes")
        }
        let limit = try parameters.number("limit", in: 1...UInt64(Limits.listItemsMax))
        let after = try parameters.value("cursor").map { text throws(Problem) in try CursorText.decode(text) }
        let withValues = try parameters.flag("values") ?? false
        let mustBeFull = try mustBeFull(parameters)
        let request = ListRequest(
            keyPrefix: kind + [UInt8(ascii: "/")] + prefix, itemsMax: limit.map(Int.init) ?? Limits.listItemsDefault,
            after: after, withValues: withValues)
        return (request, ListShape(withValues: withValues, mustBeFull: mustBeFull, ringSeed: ringSeed))
    }

    private static func mustBeFull(_ parameters: QueryParameters) throws(Problem) -> Bool {
        guard let value = parameters.value("require") else { return false }
        guard QueryParameters.equals(value, "full") else { throw Problem(.badRequest, "require may only be full") }
        return true
    }
}

/// The cursor of a list as clients carry it: URL-safe Base64 of
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | format version, 1 |
/// | 1 | 8 | ring hash, big-endian |
/// | 9 | n | the last key listed, or nothing |
/// | 9 + n | 4 | CRC32C of all before, little-endian |
///
/// The checksum is no secret: it tells a cursor that was cut or mistyped from one of ours.
enum CursorText {
    private static let formatVersion: UInt8 = 1
    private static let keyBytesMax = Limits.kindBytesMax + 1 + Limits.idBytesMax

    static func encode(_ cursor: ListCursor) -> [UInt8] {
        var writer = ByteWriter(reserving: 13 + cursor.keyBytes.count)
        writer.write(formatVersion)
        writer.writeBigEndian(cursor.ringHash)
        writer.write(cursor.keyBytes)
        writer.write(CRC32C.checksum(writer.bytes))
        return Base64.encodeURLSafe(writer.bytes)
    }

    static func decode(_ text: [UInt8]) throws(Problem) -> ListCursor {
        guard let bytes = Base64.decodeURLSafe(text), (13...13 + keyBytesMax).contains(bytes.count) else {
            throw bad
        }
        var reader = ByteReader(bytes)
        guard reader.readUInt8() == formatVersion, let ringHash = reader.readBigEndianUInt64(),
            let keyBytes = reader.readBytes(bytes.count - 13), let checksum = reader.readUInt32(),
            checksum == CRC32C.checksum(bytes[..<(bytes.count - 4)])
        else { throw bad }
        return ListCursor(ringHash: ringHash, keyBytes: keyBytes)
    }

    private static var bad: Problem {
        Problem(.badRequest, "cursor is not one that a list answered; start again without it")
    }
}
