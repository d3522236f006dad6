import Primitives

/// One answer, whichever protocol it came by; ranges count from its first byte.
struct Answer {
    enum Verdict {
        case success
        case absent
        case preconditionFailed
        case refused
    }

    var verdict: Verdict
    /// The HTTP status; 0 for RESP.
    var status = 0
    var etag = 0..<0
    var payload: Range<Int>
    var isChunked = false
    var keepsAlive = true
    var length: Int
}

/// The parser of the protocol that a connection speaks.
struct AnswerParser {
    private let speaksRESP: Bool
    private var http = HTTPAnswerParser()
    private var resp = RESPReplyParser()

    init(_ dialect: Dialect) { self.speaksRESP = dialect == .redis }

    /// The payload of the last answer where it came in chunks.
    var dechunked: [UInt8] { http.dechunked }

    /// As `HTTPAnswerParser.parse`.
    mutating func parse(_ bytes: Span<UInt8>) throws(ProtocolViolation) -> Answer? {
        speaksRESP ? try parseRESP(bytes) : try parseHTTP(bytes)
    }

    private mutating func parseHTTP(_ bytes: Span<UInt8>) throws(ProtocolViolation) -> Answer? {
        guard let answer = try http.parse(bytes) else { return nil }
        let verdict: Answer.Verdict =
            switch answer.status {
            case 200...299: .success
            case 404: .absent
            case 412: .preconditionFailed
            default: .refused
            }
        return Answer(
            verdict: verdict, status: answer.status, etag: answer.etag, payload: answer.body,
            isChunked: answer.isChunked, keepsAlive: answer.keepsAlive, length: answer.length)
    }

    private mutating func parseRESP(_ bytes: Span<UInt8>) throws(ProtocolViolation) -> Answer? {
        guard let reply = try resp.parse(bytes) else { return nil }
        let verdict: Answer.Verdict =
            switch reply.kind {
            case .error: .refused
            case .null: .absent
            case .simple, .integer, .bulk, .array: .success
            }
        return Answer(verdict: verdict, payload: reply.payload, length: reply.length)
    }
}

/// Compares the payloads of answers with what they have to be.
struct AnswerCheck {
    let dialect: Dialect
    let valueBytes: Int

    /// What is wrong with the payload of a successful read, as a name for the table of errors; `nil` if nothing is.
    /// The content is compared only where `comparesContent` says so; the length always.
    func mismatch(ofRead payload: Span<UInt8>, record: UInt64, comparesContent: Bool) -> String? {
        if dialect == .etcd { return etcdMismatch(payload, record: record, comparesContent: comparesContent) }
        guard payload.count == valueBytes else { return Self.wrongLength }
        guard comparesContent, dialect.keepsStates else { return nil }
        return DerivedState.matches(payload, record: record) ? nil : Self.wrongContent
    }

    /// What is wrong with the payload of a successful write.
    func mismatch(ofWrite payload: Span<UInt8>) -> String? {
        guard dialect == .webdis else { return nil }
        let isRefused = Self.find("false", in: payload) != nil || Self.find("ERR", in: payload) != nil
        return isRefused ? "refused by Redis" : nil
    }

    /// The number that a counter's state holds.
    func counter(in payload: Span<UInt8>) -> UInt64? {
        var place = 0
        if dialect == .keystead {
            guard let found = Self.find("\"count\":", in: payload) else { return nil }
            place = found.upperBound
        }
        var value: UInt64?
        while place < payload.count, case UInt8(ascii: "0")...UInt8(ascii: "9") = payload[place] {
            value = (value ?? 0) &* 10 &+ UInt64(payload[place] - UInt8(ascii: "0"))
            place += 1
        }
        return value
    }

    /// The name of a refusal: its status, and the code that a problem document or a RESP error begins with.
    static func name(ofRefusal answer: Answer, payload: Span<UInt8>) -> String {
        if answer.status == 0 { return word(payload, from: 0) }
        guard let found = find("urn:keystead:error:", in: payload) else { return "\(answer.status)" }
        return "\(answer.status) \(word(payload, from: found.upperBound))"
    }

    static let wrongLength = "wrong length"
    static let wrongContent = "wrong content"

    private func etcdMismatch(_ payload: Span<UInt8>, record: UInt64, comparesContent: Bool) -> String? {
        guard let found = Self.find("\"value\":\"", in: payload) else { return Self.wrongLength }
        var text: [UInt8] = []
        var place = found.upperBound
        while place < payload.count, payload[place] != UInt8(ascii: "\"") {
            text.append(payload[place])
            place += 1
        }
        guard text.count == (valueBytes + 2) / 3 * 4 else { return Self.wrongLength }
        guard comparesContent else { return nil }
        guard let state = Base64.decode(text), state.count == valueBytes else { return Self.wrongLength }
        return DerivedState.matches(state.span, record: record) ? nil : Self.wrongContent
    }

    private static func word(_ bytes: Span<UInt8>, from start: Int) -> String {
        var text = ""
        var place = start
        while place < bytes.count, text.utf8.count < 40, isWord(bytes[place]) {
            text.unicodeScalars.append(Unicode.Scalar(bytes[place]))
            place += 1
        }
        return text.isEmpty ? "refused" : text
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"): true
        default: false
        }
    }

    private static func find(_ text: StaticString, in bytes: Span<UInt8>) -> Range<Int>? {
        text.withUTF8Buffer { wanted in
            var start = 0
            while start + wanted.count <= bytes.count {
                var matched = 0
                while matched < wanted.count, bytes[start + matched] == wanted[matched] { matched += 1 }
                if matched == wanted.count { return start..<(start + matched) }
                start += 1
            }
            return nil
        }
    }
}
