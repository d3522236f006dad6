internal import ClusterCore
internal import Primitives

/// The embedded metadata file, whole. Little-endian.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic `KEYSTMD` and a zero byte |
/// | 8 | 4 | format version, 1 |
/// | 12 | 8 | length of the body |
/// | 20 | 4 | CRC32C of the body |
/// | 24 | 4 | CRC32C of bytes 0 to 23 |
/// | 28 | … | body |
///
/// Body: revision (8), number of entries (4), then each entry in key order: length of the key (2), key, create revision
/// (8), mod revision (8), session (8; zero where none), length of the value (4), value.
///
/// A file is valid if and only if the magic, both sums, the length of the file and every length in the body fit, and
/// the keys ascend. The first 28 bytes keep their meaning in every later format, so that a newer file is told from a
/// damaged one.
enum EmbeddedFileFormat {
    static let version: UInt32 = 1
    static let headerBytes = 28
    private static let magic = Array("KEYSTMD\0".utf8)

    static func encode(_ state: EmbeddedState) -> [UInt8] {
        var body = ByteWriter()
        body.write(state.revision.rawValue)
        body.write(UInt32(state.entries.count))
        for key in state.entries.keys.sorted() {
            guard let entry = state.entries[key] else { continue }
            body.write(UInt16(key.text.utf8.count))
            body.write(Array(key.text.utf8))
            body.write(entry.createRevision.rawValue)
            body.write(entry.modRevision.rawValue)
            body.write(entry.session?.rawValue ?? 0)
            body.write(UInt32(entry.value.count))
            body.write(entry.value)
        }
        var file = ByteWriter(reserving: headerBytes + body.bytes.count)
        file.write(magic)
        file.write(version)
        file.write(UInt64(body.bytes.count))
        file.write(CRC32C.checksum(body.bytes))
        file.write(CRC32C.checksum(file.bytes))
        file.write(body.bytes)
        return file.bytes
    }

    static func decode(_ bytes: [UInt8], file: String) throws(MetadataError) -> EmbeddedState {
        func corrupt(_ detail: String) -> MetadataError { .corrupt(file: file, detail: detail) }
        var header = ByteReader(bytes)
        guard header.readBytes(magic.count) == magic else { throw corrupt("it is no Keystead metadata file") }
        guard let found = header.readUInt32(), let bodyBytes = header.readUInt64(), let bodySum = header.readUInt32(),
            let headerSum = header.readUInt32(), CRC32C.checksum(bytes[..<(headerBytes - 4)]) == headerSum
        else { throw corrupt("its header does not match its checksum") }
        guard found == version else { throw .unsupportedFormat(file: file, found: found, known: version) }
        guard bodyBytes == UInt64(bytes.count - headerBytes) else {
            throw corrupt("its body has \(bytes.count - headerBytes) bytes, not \(bodyBytes)")
        }
        guard CRC32C.checksum(bytes[headerBytes...]) == bodySum else {
            throw corrupt("its body does not match its checksum")
        }
        guard let state = decodeBody(ByteReader(bytes, range: headerBytes..<bytes.count)) else {
            throw corrupt("its body cannot be read")
        }
        return state
    }

    private static func decodeBody(_ body: ByteReader) -> EmbeddedState? {
        var reader = body
        guard let revision = reader.readUInt64(), revision <= Limits.counterMax, let count = reader.readUInt32() else {
            return nil
        }
        var entries: [MetadataEntry] = []
        for _ in 0..<count {
            guard let entry = decodeEntry(&reader), entries.last.map({ $0.key < entry.key }) ?? true,
                entry.modRevision.rawValue <= revision
            else { return nil }
            entries.append(entry)
        }
        guard reader.remaining == 0 else { return nil }
        return EmbeddedState(revision: MetadataRevision(revision), entries: entries)
    }

    private static func decodeEntry(_ reader: inout ByteReader) -> MetadataEntry? {
        guard let keyBytes = reader.readUInt16().flatMap({ reader.readBytes(Int($0)) }),
            keyBytes.count <= MetadataLimits.keyBytesMax, keyBytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            let created = reader.readUInt64(), let modified = reader.readUInt64(), created <= modified,
            let session = reader.readUInt64(),
            let value = reader.readUInt32().flatMap({ reader.readBytes(Int($0)) })
        else { return nil }
        return MetadataEntry(
            key: MetadataKey(String(decoding: keyBytes, as: UTF8.self)), value: value,
            createRevision: MetadataRevision(created), modRevision: MetadataRevision(modified),
            session: session == 0 ? nil : SessionID(session))
    }
}
