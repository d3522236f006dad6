internal import Entities
internal import NIOCore
internal import Primitives

/// How a state stands in JSON text (batch answers, lists with values), by its content type first:
///
/// - `text/*` whose bytes are UTF-8: `"text"`;
/// - everything else, and a state that is not what its type says: `"base64"`.
enum ValueForm {
    case text(ArraySlice<UInt8>)
    case base64(ArraySlice<UInt8>)

    init(_ record: StoredRecord) {
        let state = record.state
        if Self.isText(record.contentType), Self.isUTF8(state) {
            self = .text(state)
        } else {
            self = .base64(state)
        }
    }

    private static func isText(_ contentType: ArraySlice<UInt8>) -> Bool {
        let span = contentType.span
        return span.count > 5 && span.equalsIgnoringCase(0..<5, "text/")
    }

    private static func isUTF8(_ bytes: ArraySlice<UInt8>) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
    }
}

extension ByteBuffer {
    /// `,"text":"…"` or `,"base64":"…"`.
    mutating func writeValueMember(_ record: StoredRecord) {
        switch ValueForm(record) {
        case .text(let text):
            writeStaticString(",\"text\":")
            writeJSONString(text)
        case .base64(let bytes):
            writeStaticString(",\"base64\":\"")
            writeBytes(Base64.encode(bytes))
            writeInteger(UInt8(ascii: "\""))
        }
    }
}
