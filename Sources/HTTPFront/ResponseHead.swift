internal import Entities
internal import NIOCore
internal import Primitives

/// What the answer says about the connection (RFC 9112 §9.3).
enum Persistence: UInt8 {
    /// HTTP/1.1, staying open: nothing to say.
    case open
    /// HTTP/1.0, staying open because the client asked for it.
    case keptAlive
    case close
}

/// The response head, written piece by piece in this order: ``writeStatus(_:date:)``, any fields,
/// ``writeHeadEnd(length:persistence:)``. What comes from elsewhere (a content
/// type) is checked here once more: this is the last place before the wire.
extension ByteBuffer {
    /// The status line, and the fields that stand on every answer.
    mutating func writeStatus(_ status: Int, date: [UInt8]) {
        if let line = Self.statusLine(status) {
            writeStaticString(line)
        } else {
            writeStaticString("HTTP/1.1 ")
            writeDecimal(status)
            writeStaticString(" \r\n")
        }
        writeStaticString("X-Content-Type-Options: nosniff\r\nDate: ")
        writeBytes(date)
        writeStaticString("\r\n")
    }

    mutating func writePosition(_ position: ShardPosition) {
        writeStaticString("Keystead-Position: ")
        writePositionText(position)
        writeStaticString("\r\n")
    }

    /// `SHARD:POSITION`
    mutating func writePositionText(_ position: ShardPosition) {
        writeDecimal(UInt64(position.shard.rawValue))
        writeInteger(UInt8(ascii: ":"))
        writeDecimal(position.position.rawValue)
    }

    mutating func writeETag(_ version: Position) {
        writeStaticString("ETag: \"")
        writeDecimal(version.rawValue)
        writeStaticString("\"\r\n")
    }

    /// The date, and with it what keeps a browser from running a state that it shows: anybody may have written that. A
    /// 304 has it too, since it renews the fields of what the browser holds.
    mutating func writeLastModified(_ updatedAt: Timestamp) {
        writeStaticString("Content-Security-Policy: sandbox\r\nLast-Modified: ")
        writeFixdate(secondsSince1970: updatedAt.milliseconds / 1000)
        writeStaticString("\r\n")
    }

    /// Seconds until the entity reads as absent.
    mutating func writeTimeToLive(_ seconds: UInt64) {
        writeStaticString("Keystead-TTL: ")
        writeDecimal(seconds)
        writeStaticString("\r\n")
    }

    /// Empty is the default content type, and so is one that cannot stand in a field: it was stored by a version that
    /// checked less, and would end the field, or the head.
    mutating func writeContentType(_ contentType: ArraySlice<UInt8>) {
        if contentType.isEmpty || !OperationChecks.isFieldText(contentType) {
            writeStaticString("Content-Type: application/octet-stream\r\n")
        } else {
            writeStaticString("Content-Type: ")
            writeBytes(contentType)
            writeStaticString("\r\n")
        }
    }

    /// `length` is `nil` where the status allows no `Content-Length` or the body is delimited otherwise.
    mutating func writeHeadEnd(length: Int?, persistence: Persistence) {
        if let length {
            writeStaticString("Content-Length: ")
            writeDecimal(length)
            writeStaticString("\r\n")
        }
        switch persistence {
        case .open: writeStaticString("\r\n")
        case .keptAlive: writeStaticString("Connection: keep-alive\r\n\r\n")
        case .close: writeStaticString("Connection: close\r\n\r\n")
        }
    }

    /// Status lines of RFC 9110 §15, RFC 6585 (431) and RFC 4918 (507).
    private static func statusLine(_ status: Int) -> StaticString? {
        switch status {
        case 200: "HTTP/1.1 200 OK\r\n"
        case 201: "HTTP/1.1 201 Created\r\n"
        case 202: "HTTP/1.1 202 Accepted\r\n"
        case 204: "HTTP/1.1 204 No Content\r\n"
        case 304: "HTTP/1.1 304 Not Modified\r\n"
        case 400: "HTTP/1.1 400 Bad Request\r\n"
        case 403: "HTTP/1.1 403 Forbidden\r\n"
        case 404: "HTTP/1.1 404 Not Found\r\n"
        case 405: "HTTP/1.1 405 Method Not Allowed\r\n"
        case 409: "HTTP/1.1 409 Conflict\r\n"
        case 411: "HTTP/1.1 411 Length Required\r\n"
        case 412: "HTTP/1.1 412 Precondition Failed\r\n"
        case 413: "HTTP/1.1 413 Content Too Large\r\n"
        case 414: "HTTP/1.1 414 URI Too Long\r\n"
        case 415: "HTTP/1.1 415 Unsupported Media Type\r\n"
        case 417: "HTTP/1.1 417 Expectation Failed\r\n"
        case 421: "HTTP/1.1 421 Misdirected Request\r\n"
        case 422: "HTTP/1.1 422 Unprocessable Content\r\n"
        case 431: "HTTP/1.1 431 Request Header Fields Too Large\r\n"
        case 500: "HTTP/1.1 500 Internal Server Error\r\n"
        case 503: "HTTP/1.1 503 Service Unavailable\r\n"
        case 504: "HTTP/1.1 504 Gateway Timeout\r\n"
        case 505: "HTTP/1.1 505 HTTP Version Not Supported\r\n"
        case 507: "HTTP/1.1 507 Insufficient Storage\r\n"
        default: nil
        }
    }
}
