internal import Entities
internal import NIOCore
internal import Primitives

/// How a state stands in JSON text (batch answers, lists with values), by its content type first:
///
/// - `application/json` or any `+json` type whose bytes are JSON: `"json"`, the text itself;
/// - `text/*` whose bytes are UTF-8: `"text"`;
/// - everything else, and a state that is not what its type says: `"base64"`.
enum ValueForm {
    case json(ArraySlice<UInt8>)
    case text(ArraySlice<UInt8>)
    case base64(ArraySlice<UInt8>)

    init(_ record: StoredRecord) {
        let state = record.state
        if Self.isJSON(record.contentType), let text = Self.lineOfJSON(state) {
            self = .json(text)
        } else if Self.isText(record.contentType), Self.isUTF8(state) {
            self = .text(state)
        } else {
            self = .base64(state)
        }
    }

    private static func isJSON(_ contentType: ArraySlice<UInt8>) -> Bool {
        let span = contentType.span
        let type = mediaType(span)
        if span.equalsIgnoringCase(type, "application/json") { return true }
        return type.count > 5 && span.equalsIgnoringCase(type.upperBound - 5..<type.upperBound, "+json")
    }

    private static func isText(_ contentType: ArraySlice<UInt8>) -> Bool {
        let span = contentType.span
        return span.count > 5 && span.equalsIgnoringCase(0..<5, "text/")
    }

    /// Without parameters.
    private static func mediaType(_ span: Span<UInt8>) -> Range<Int> {
        let end = span.firstIndex(of: UInt8(ascii: ";"), from: 0, to: span.count) ?? span.count
        return span.trimmingBlanks(0..<end)
    }

    private static func isUTF8(_ bytes: ArraySlice<UInt8>) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
    }

    /// The document without white space round it, on one line; `nil` where the bytes are not JSON. A document with line
    /// breaks is written anew without white space; its numbers and strings keep their text.
    private static func lineOfJSON(_ state: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let value = try? JSONValue(parsing: state) else { return nil }
        if state.contains(where: { $0 == ByteClasses.lineFeed || $0 == ByteClasses.carriageReturn }) {
            return value.encoded()[...]
        }
        let span = state.span
        let trimmed = span.trimmingBlanks(0..<span.count)
        return state[(state.startIndex + trimmed.lowerBound)..<(state.startIndex + trimmed.upperBound)]
    }
}

extension ByteBuffer {
    /// `,"json":…`, `,"text":"…"` or `,"base64":"…"`.
    mutating func writeValueMember(_ record: StoredRecord) {
        switch ValueForm(record) {
        case .json(let text):
            writeStaticString(",\"json\":")
            writeBytes(text)
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
