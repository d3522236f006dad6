internal import Entities
internal import Primitives

/// The refusals of a malformed message: each says what is wrong and what is allowed.
enum Refusals {
    static let bareCarriageReturn = Problem(.badRequest, "a CR must be followed by LF")
    static let bareLineFeed = Problem(.badRequest, "a line must end in CR LF, not in LF alone")
    static let controlCharacter = Problem(.badRequest, "control characters are not allowed in the request head")
    static let requestLine = Problem(.badRequest, "the request line must be METHOD SP TARGET SP HTTP/1.1")
    static let target = Problem(
        .badRequest, "the target must be a path, an absolute http URL, or * with OPTIONS, without spaces or a fragment")
    static let version = Problem(.versionNotSupported, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    static let foldedField = Problem(.badRequest, "a field line must not begin with a space or tab")
    static let fieldWithoutColon = Problem(.badRequest, "a field line must be NAME: VALUE")
    static let fieldName = Problem(
        .badRequest, "a field name must be a token with no space before the colon")
    static let host = Problem(.badRequest, "Host must be a name or address and an optional port")
    static let hostMissing = Problem(.badRequest, "an HTTP/1.1 request must have a Host field")
    static let hostRepeated = Problem(.badRequest, "Host must appear once")
    static let contentLength = Problem(
        .badRequest, "Content-Length must be one decimal number without sign, spaces or leading zeros")
    static let contentLengthRepeated = Problem(.badRequest, "Content-Length must appear once")
    static let transferEncoding = Problem(.badRequest, "the only transfer coding understood is chunked, given once")
    static let transferEncodingInOldVersion = Problem(.badRequest, "HTTP/1.0 has no Transfer-Encoding")
    static let twoLengths = Problem(.badRequest, "Content-Length and Transfer-Encoding must not come together")
    static let chunkSize = Problem(.badRequest, "a chunk must begin with its size in hexadecimal")
    static let chunkExtension = Problem(.badRequest, "a chunk extension is malformed")
    static let chunkEnd = Problem(.badRequest, "the data of a chunk must be followed by CR LF")
    static let chunkLineTooLong = Problem(
        .badRequest, "a chunk size line may have at most \(Limits.chunkLineBytesMax) bytes")
    static let uriTooLong = Problem(.uriTooLong, "the request target may have at most \(Limits.uriBytesMax) bytes")
    static let fieldsTooLarge = Problem(
        .fieldsTooLarge,
        "a field may have at most \(Limits.fieldBytesMax) bytes, all fields together \(Limits.fieldsBytesMax)")
    static let tooManyFields = Problem(.fieldsTooLarge, "a request may have at most \(Limits.fieldCountMax) fields")
}
