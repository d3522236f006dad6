/// What the other side sent is not the protocol that was asked for.
struct ProtocolViolation: Error, Equatable {
    /// A short name for the table of errors.
    let name: String
}

/// One whole HTTP/1.1 answer; ranges count from the first byte of the answer.
struct HTTPAnswer: Equatable {
    var status = 0
    /// The value of `ETag` with its quotes; empty where there is none.
    var etag = 0..<0
    /// The body. Where `isChunked`, its bytes are in `HTTPAnswerParser.dechunked` instead.
    var body = 0..<0
    var isChunked = false
    var keepsAlive = true
    /// Bytes of the answer on the wire.
    var length = 0
}

/// Finds the end of one HTTP/1.1 answer in a growing run of bytes (RFC 9112), reading each byte once.
///
/// It knows what a benchmark needs: status, `Content-Length` or chunks, `ETag` and `Connection`. Interim (1xx) answers
/// are skipped. An answer that only the end of the connection would delimit is a violation, since nothing could be
/// asked after it. It looks at bytes, makes no strings and keeps nothing but places.
struct HTTPAnswerParser {
    private enum Phase: Equatable {
        case head
        case body
        case chunkSize
        case chunkData(remaining: Int)
        case trailer
    }

    private static let headBytesMax = 64 << 10
    private static let bodyBytesMax = 64 << 20

    private var phase = Phase.head
    private var answer = HTTPAnswer()
    private var contentLength: Int?
    /// Where the first line that was not looked at begins, and how far its end was searched for.
    private var lineStart = 0
    private var scanned = 0
    /// The body of the answer that `parse` returned last, if it came in chunks.
    private(set) var dechunked: [UInt8] = []

    /// Looks at `bytes`, which begin at the first byte of the answer and reach as far as was received: more each call.
    /// `nil` asks for more. After an answer the parser is ready for the next, which begins `length` bytes on.
    mutating func parse(_ bytes: Span<UInt8>) throws(ProtocolViolation) -> HTTPAnswer? {
        while true {
            switch phase {
            case .head, .chunkSize, .trailer:
                guard let line = try takeLine(bytes) else { return nil }
                if let whole = try read(line: line, of: bytes) { return whole }
            case .body:
                let end = lineStart + (contentLength ?? 0)
                guard bytes.count >= end else { return nil }
                answer.body = lineStart..<end
                return finish(at: end)
            case .chunkData(let remaining):
                guard try takeChunkData(bytes, remaining: remaining) else { return nil }
            }
        }
    }

    /// The next line without its CRLF (a bare LF is taken as well), or `nil` where it has not arrived whole.
    private mutating func takeLine(_ bytes: Span<UInt8>) throws(ProtocolViolation) -> Range<Int>? {
        var place = scanned
        let count = bytes.count
        while place < count, bytes[place] != UInt8(ascii: "\n") { place += 1 }
        scanned = place
        guard place - lineStart <= Self.headBytesMax else { throw ProtocolViolation(name: "line too long") }
        guard place < count else { return nil }
        let end = place > lineStart && bytes[place - 1] == UInt8(ascii: "\r") ? place - 1 : place
        let line = lineStart..<end
        lineStart = place + 1
        scanned = lineStart
        return line
    }

    private mutating func read(line: Range<Int>, of bytes: Span<UInt8>) throws(ProtocolViolation) -> HTTPAnswer? {
        switch phase {
        case .chunkSize:
            let size = try hexadecimal(bytes, line)
            phase = size == 0 ? .trailer : .chunkData(remaining: size + 2)
        case .trailer:
            if line.isEmpty { return finish(at: lineStart) }
        default:
            if answer.status == 0 {
                try readStatus(bytes, line)
            } else if line.isEmpty {
                return try endHead()
            } else {
                try readField(bytes, line)
            }
        }
        return nil
    }

    private mutating func endHead() throws(ProtocolViolation) -> HTTPAnswer? {
        if answer.status < 200 {
            answer.status = 0
        } else if answer.status == 204 || answer.status == 304 {
            return finish(at: lineStart)
        } else if answer.isChunked {
            dechunked.removeAll(keepingCapacity: true)
            phase = .chunkSize
        } else if contentLength != nil {
            phase = .body
        } else {
            throw ProtocolViolation(name: "answer without length")
        }
        return nil
    }

    private mutating func finish(at end: Int) -> HTTPAnswer {
        answer.length = end
        let whole = answer
        answer = HTTPAnswer()
        contentLength = nil
        phase = .head
        lineStart = 0
        scanned = 0
        return whole
    }

    /// Takes what is there of a chunk and the CRLF behind it; false asks for more.
    private mutating func takeChunkData(_ bytes: Span<UInt8>, remaining: Int) throws(ProtocolViolation) -> Bool {
        let available = min(bytes.count - lineStart, remaining)
        let data = max(0, min(available, remaining - 2))
        for place in lineStart..<(lineStart + data) { dechunked.append(bytes[place]) }
        guard dechunked.count <= Self.bodyBytesMax else { throw ProtocolViolation(name: "body too long") }
        lineStart += available
        scanned = lineStart
        phase = available == remaining ? .chunkSize : .chunkData(remaining: remaining - available)
        return available == remaining
    }

    // MARK: Lines

    private mutating func readStatus(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(ProtocolViolation) {
        guard line.count >= 12, equals(bytes, line.lowerBound, "HTTP/1."), bytes[line.lowerBound + 8] == 0x20 else {
            throw ProtocolViolation(name: "not HTTP/1.1")
        }
        let status = try decimal(bytes, (line.lowerBound + 9)..<(line.lowerBound + 12))
        guard (100...599).contains(status) else { throw ProtocolViolation(name: "bad status") }
        answer.status = status
        answer.keepsAlive = bytes[line.lowerBound + 7] == UInt8(ascii: "1")
    }

    private mutating func readField(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(ProtocolViolation) {
        var colon = line.lowerBound
        while colon < line.upperBound, bytes[colon] != UInt8(ascii: ":") { colon += 1 }
        guard colon < line.upperBound else { throw ProtocolViolation(name: "field without colon") }
        let name = line.lowerBound
        let value = trimmed(bytes, (colon + 1)..<line.upperBound)
        switch colon - name {
        case 4 where equals(bytes, name, "etag"):
            answer.etag = value
        case 10 where equals(bytes, name, "connection"):
            answer.keepsAlive = !(value.count == 5 && equals(bytes, value.lowerBound, "close"))
        case 14 where equals(bytes, name, "content-length"):
            let length = try decimal(bytes, value)
            guard length <= Self.bodyBytesMax else { throw ProtocolViolation(name: "body too long") }
            contentLength = length
        case 17 where equals(bytes, name, "transfer-encoding"):
            guard value.count == 7, equals(bytes, value.lowerBound, "chunked") else {
                throw ProtocolViolation(name: "unknown transfer coding")
            }
            answer.isChunked = true
        default:
            break
        }
    }

    private func trimmed(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
        while start < end, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        return start..<end
    }

    /// Whether `text` stands at `start`, letters compared without case. `text` is ASCII, its letters as they come.
    private func equals(_ bytes: Span<UInt8>, _ start: Int, _ text: StaticString) -> Bool {
        guard start + text.utf8CodeUnitCount <= bytes.count else { return false }
        return text.withUTF8Buffer { expected in
            for place in 0..<expected.count where bytes[start + place] | 0x20 != expected[place] | 0x20 { return false }
            return true
        }
    }

    private func decimal(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(ProtocolViolation) -> Int {
        var value = 0
        for place in range {
            guard case UInt8(ascii: "0")...UInt8(ascii: "9") = bytes[place], value < 1 << 40 else {
                throw ProtocolViolation(name: "bad number")
            }
            value = value * 10 + Int(bytes[place] - UInt8(ascii: "0"))
        }
        guard !range.isEmpty else { throw ProtocolViolation(name: "bad number") }
        return value
    }

    /// A chunk's size; an extension behind `;` is ignored.
    private func hexadecimal(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(ProtocolViolation) -> Int {
        var value = 0
        var digits = 0
        scan: for place in range {
            let byte = bytes[place]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
            case UInt8(ascii: ";"), 0x20: digit = .max
            default: throw ProtocolViolation(name: "bad chunk size")
            }
            if digit == .max { break scan }
            value = value << 4 | Int(digit)
            digits += 1
            guard value <= Self.bodyBytesMax else { throw ProtocolViolation(name: "body too long") }
        }
        guard digits > 0 else { throw ProtocolViolation(name: "bad chunk size") }
        return value
    }
}
