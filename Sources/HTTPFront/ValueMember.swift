internal import Entities
internal import JSON
internal import NIOCore
internal import Primitives

/// How a state stands in JSON text (batch answers, lists with values):
///
/// - `text/*` whose bytes are UTF-8: `"text"`, unless it is long and mostly of characters that are escaped, which would
///   make it up to six times as long;
/// - JSON, which a state is by its bytes, whatever its type: `"json"`, the text itself;
/// - everything else: `"base64"`.
enum ValueForm {
    case json(ArraySlice<UInt8>)
    case text(ArraySlice<UInt8>)
    case base64(ArraySlice<UInt8>)

    init(_ record: StoredRecord) {
        let state = record.state
        if Self.isText(record.contentType), Self.isUTF8(state), Self.isShortEscaped(state) {
            self = .text(state)
        } else if let text = Self.lineOfJSON(state) {
            self = .json(text)
        } else {
            self = .base64(state)
        }
    }

    private static func isText(_ contentType: ArraySlice<UInt8>) -> Bool {
        let span = contentType.span
        return span.count > 5 && span.equalsIgnoringCase(0..<5, "text/")
    }

    private static func isShortEscaped(_ text: ArraySlice<UInt8>) -> Bool {
        guard text.count > Limits.loopTextBytesMax else { return true }
        return text.withUnsafeBufferPointer { bytes in
            let escaped = bytes.reduce(0) { $0 + (ByteClasses.isEscapedInJSON($1) ? 1 : 0) }
            return escaped <= bytes.count / escapedShareMax
        }
    }

    /// One in so many bytes of a long text may be escaped.
    private static let escapedShareMax = 5

    private static func isUTF8(_ bytes: ArraySlice<UInt8>) -> Bool {
        String(validating: bytes, as: UTF8.self) != nil
    }

    /// The document without white space round it, on one line; `nil` where the bytes are not JSON. A document with line
    /// breaks is written anew without white space; its numbers and strings keep their text.
    private static func lineOfJSON(_ state: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        if state.contains(where: { $0 == ByteClasses.lineFeed || $0 == ByteClasses.carriageReturn }) {
            return (try? JSONValue.compacted(state))?[...]
        }
        guard (try? JSONValue.check(state)) != nil else { return nil }
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
