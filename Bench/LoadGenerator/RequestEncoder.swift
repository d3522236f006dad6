import NIOCore
import Primitives

/// Writes requests as bytes, from parts that are prepared once.
///
/// Keys are `KIND`, a separator of the dialect, `k` and twelve digits.
struct RequestEncoder {
    private let dialect: Dialect
    private let valueBytes: Int
    /// What every HTTP request has between its path and its own fields.
    private let fields: [UInt8]
    private let prefix: [UInt8]
    /// JSON of a counter at zero, padded to the size of the values.
    private let counterState: [UInt8]
    private var scratch = ByteBuffer()

    private static let increment = Array(#"{"do":[{"increment":"/count","by":1}]}"#.utf8)

    init(_ configuration: LoadConfiguration) {
        self.dialect = configuration.dialect
        self.valueBytes = configuration.valueBytes
        self.fields = Array(" HTTP/1.1\r\nHost: \(configuration.host):\(configuration.port)\r\n".utf8)
        switch configuration.dialect {
        case .keystead: self.prefix = Array("/v1/entities/\(configuration.kind)/k".utf8)
        case .redis, .webdis: self.prefix = Array("\(configuration.kind):k".utf8)
        case .etcd: self.prefix = Array("\(configuration.kind)/k".utf8)
        case .fixed(let path): self.prefix = Array(path.utf8)
        }
        self.counterState = Self.makeCounterState(configuration)
    }

    private static func makeCounterState(_ configuration: LoadConfiguration) -> [UInt8] {
        guard configuration.dialect == .keystead else { return [UInt8(ascii: "0")] }
        let bare = #"{"count":0,"pad":""}"#
        let padding = String(repeating: "x", count: max(0, configuration.valueBytes - bare.utf8.count))
        return Array(#"{"count":0,"pad":"\#(padding)"}"#.utf8)
    }

    // MARK: Operations

    func read(_ record: UInt64, into buffer: inout ByteBuffer) {
        switch dialect {
        case .keystead, .fixed:
            buffer.writeStaticString("GET ")
            writePath(record, into: &buffer)
            writeFields("", into: &buffer)
        case .webdis:
            buffer.writeStaticString("GET /GET/")
            writeKey(record, into: &buffer)
            buffer.writeStaticString(".txt")
            writeFields("", into: &buffer)
        case .etcd:
            let document = Array(#"{"key":""#.utf8) + base64Key(record) + Array(#""}"#.utf8)
            writeEtcd("/v3/kv/range", document, into: &buffer)
        case .redis:
            buffer.writeStaticString("*2\r\n$3\r\nGET\r\n")
            writeRedisKey(record, into: &buffer)
        }
    }

    /// A write of the whole state, under `If-Match` where `etag` is not empty and the dialect has it.
    mutating func write(_ record: UInt64, token: UInt64, etag: [UInt8], into buffer: inout ByteBuffer) {
        switch dialect {
        case .keystead, .fixed:
            beginPut(record, type: "application/octet-stream", length: valueBytes, etag: etag, into: &buffer)
            DerivedState.write(record: record, token: token, length: valueBytes, into: &buffer)
        case .webdis:
            buffer.writeStaticString("PUT /SET/")
            writeKey(record, into: &buffer)
            writeFields("", length: valueBytes, into: &buffer)
            DerivedState.write(record: record, token: token, length: valueBytes, into: &buffer)
        case .etcd:
            scratch.clear()
            DerivedState.write(record: record, token: token, length: valueBytes, into: &scratch)
            var document = Array(#"{"key":""#.utf8) + base64Key(record) + Array(#"","value":""#.utf8)
            document += Base64.encode(scratch.readableBytesView) + Array(#""}"#.utf8)
            writeEtcd("/v3/kv/put", document, into: &buffer)
        case .redis:
            beginRedisSet(record, length: valueBytes, into: &buffer)
            DerivedState.write(record: record, token: token, length: valueBytes, into: &buffer)
            buffer.writeStaticString("\r\n")
        }
    }

    /// The counter of `hot`, set to zero.
    func resetCounter(_ record: UInt64, into buffer: inout ByteBuffer) {
        switch dialect {
        case .keystead, .fixed, .etcd:
            beginPut(record, type: "application/json", length: counterState.count, etag: [], into: &buffer)
            buffer.writeBytes(counterState)
        case .webdis:
            buffer.writeStaticString("PUT /SET/")
            writeKey(record, into: &buffer)
            writeFields("", length: counterState.count, into: &buffer)
            buffer.writeBytes(counterState)
        case .redis:
            beginRedisSet(record, length: counterState.count, into: &buffer)
            buffer.writeBytes(counterState)
            buffer.writeStaticString("\r\n")
        }
    }

    /// Adds one to the counter on the server.
    func increment(_ record: UInt64, into buffer: inout ByteBuffer) {
        switch dialect {
        case .keystead, .fixed, .etcd:
            buffer.writeStaticString("PATCH ")
            writePath(record, into: &buffer)
            writeFields(
                "Content-Type: application/vnd.keystead.update+json\r\n", length: Self.increment.count, into: &buffer)
            buffer.writeBytes(Self.increment)
        case .webdis:
            buffer.writeStaticString("GET /INCR/")
            writeKey(record, into: &buffer)
            writeFields("", into: &buffer)
        case .redis:
            buffer.writeStaticString("*2\r\n$4\r\nINCR\r\n")
            writeRedisKey(record, into: &buffer)
        }
    }

    // MARK: Parts

    private func beginPut(
        _ record: UInt64, type: StaticString, length: Int, etag: [UInt8], into buffer: inout ByteBuffer
    ) {
        buffer.writeStaticString("PUT ")
        writePath(record, into: &buffer)
        buffer.writeBytes(fields)
        if !etag.isEmpty {
            buffer.writeStaticString("If-Match: ")
            buffer.writeBytes(etag)
            buffer.writeStaticString("\r\n")
        }
        buffer.writeStaticString("Content-Type: ")
        buffer.writeStaticString(type)
        buffer.writeStaticString("\r\nContent-Length: ")
        writeDecimal(length, into: &buffer)
        buffer.writeStaticString("\r\n\r\n")
    }

    private func writeFields(_ own: StaticString, length: Int? = nil, into buffer: inout ByteBuffer) {
        buffer.writeBytes(fields)
        buffer.writeStaticString(own)
        if let length {
            buffer.writeStaticString("Content-Length: ")
            writeDecimal(length, into: &buffer)
            buffer.writeStaticString("\r\n")
        }
        buffer.writeStaticString("\r\n")
    }

    private func writePath(_ record: UInt64, into buffer: inout ByteBuffer) {
        if case .fixed = dialect { buffer.writeBytes(prefix) } else { writeKey(record, into: &buffer) }
    }

    private func writeKey(_ record: UInt64, into buffer: inout ByteBuffer) {
        buffer.writeBytes(prefix)
        KeyText.write(record, into: &buffer)
    }

    private func base64Key(_ record: UInt64) -> [UInt8] {
        var key = ByteBuffer()
        writeKey(record, into: &key)
        return Base64.encode(key.readableBytesView)
    }

    private func writeEtcd(_ path: StaticString, _ document: [UInt8], into buffer: inout ByteBuffer) {
        buffer.writeStaticString("POST ")
        buffer.writeStaticString(path)
        writeFields("Content-Type: application/json\r\n", length: document.count, into: &buffer)
        buffer.writeBytes(document)
    }

    private func beginRedisSet(_ record: UInt64, length: Int, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("*3\r\n$3\r\nSET\r\n")
        writeRedisKey(record, into: &buffer)
        buffer.writeStaticString("$")
        writeDecimal(length, into: &buffer)
        buffer.writeStaticString("\r\n")
    }

    private func writeRedisKey(_ record: UInt64, into buffer: inout ByteBuffer) {
        buffer.writeStaticString("$")
        writeDecimal(prefix.count + KeyText.digits, into: &buffer)
        buffer.writeStaticString("\r\n")
        writeKey(record, into: &buffer)
        buffer.writeStaticString("\r\n")
    }

    private func writeDecimal(_ value: Int, into buffer: inout ByteBuffer) {
        var divisor = 1
        while value / divisor >= 10 { divisor *= 10 }
        while divisor > 0 {
            buffer.writeInteger(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }
}

/// How a record's number is spelt in its key: always the same length, so that requests are.
enum KeyText {
    static let digits = 12

    static func write(_ record: UInt64, into buffer: inout ByteBuffer) {
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: digits) { target in
            var rest = record
            for place in stride(from: digits - 1, through: 0, by: -1) {
                target[place] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            }
            return digits
        }
    }
}
