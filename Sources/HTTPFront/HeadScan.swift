internal import Entities
internal import Primitives

/// The decoding of one request head, line by line as the lines become complete.
struct HeadScan {
    var head = RequestHead()
    private var hasRequestLine = false
    private var skippedEmptyLine = false
    private var fieldCount = 0
    private var fieldsBytes = 0

    var isFresh: Bool { !hasRequestLine && !skippedEmptyLine }

    /// Bytes that the next field line may have.
    var fieldLimit: Int { min(Limits.fieldBytesMax, Limits.fieldsBytesMax - fieldsBytes) }

    /// The head's length once its empty line is there. Every call gets the same bytes as the call before, and more.
    mutating func run(_ span: Span<UInt8>, _ line: inout LineScan) throws(Problem) -> Int? {
        if !hasRequestLine {
            guard try readRequestLine(span, &line) else { return nil }
        }
        while true {
            guard
                let text = try line.next(
                    span, limit: fieldLimit, allowsTab: true, overflow: Refusals.fieldsTooLarge)
            else { return nil }
            line.start = line.scanned
            if text.isEmpty { break }
            try countField(text.count)
            let field = try FieldLine(span, text)
            try note(field, span)
        }
        try checkFraming()
        return line.scanned
    }

    /// Counts a field line of `bytes` bytes without its CR LF.
    mutating func countField(_ bytes: Int) throws(Problem) {
        fieldCount += 1
        fieldsBytes += bytes
        if fieldCount > Limits.fieldCountMax { throw Refusals.tooManyFields }
    }

    /// One empty line before the request line is passed over (RFC 9112 §2.2).
    private mutating func readRequestLine(_ span: Span<UInt8>, _ line: inout LineScan) throws(Problem) -> Bool {
        while true {
            guard
                let text = try line.next(
                    span, limit: RequestLine.bytesMax, allowsTab: false, overflow: Refusals.uriTooLong)
            else { return false }
            line.start = line.scanned
            if text.isEmpty, !skippedEmptyLine {
                skippedEmptyLine = true
                continue
            }
            try RequestLine.read(span, text, into: &head)
            hasRequestLine = true
            return true
        }
    }

    private mutating func checkFraming() throws(Problem) {
        if head.minorVersion == 0, head.isChunked { throw Refusals.transferEncodingInOldVersion }
        if head.isChunked, head.contentLength != nil { throw Refusals.twoLengths }
        if head.minorVersion >= 1, !head.hasHost { throw Refusals.hostMissing }
    }

    /// Takes in one field. Names are told apart by length first, so most fields cost one comparison or none.
    private mutating func note(_ field: FieldLine, _ span: Span<UInt8>) throws(Problem) {
        let name = field.name
        let value = HeadRange(field.value)
        switch name.count {
        case 4 where span.equalsIgnoringCase(name, "host"): try noteHost(field.value, span)
        case 6 where span.equalsIgnoringCase(name, "expect"): noteExpectation(field.value, span)
        case 6 where span.equalsIgnoringCase(name, "prefer"): head.prefer.append(value, &head.repeats)
        case 6 where span.equalsIgnoringCase(name, "origin"): head.origin.note(value)
        case 8 where span.equalsIgnoringCase(name, "if-match"): head.ifMatch.append(value, &head.repeats)
        case 10 where span.equalsIgnoringCase(name, "connection"): noteConnection(field.value, span)
        case 12 where span.equalsIgnoringCase(name, "content-type"): head.contentType.note(value)
        case 13 where span.equalsIgnoringCase(name, "if-none-match"): head.ifNoneMatch.append(value, &head.repeats)
        case 14 where span.equalsIgnoringCase(name, "content-length"): try noteContentLength(field.value, span)
        case 14 where span.equalsIgnoringCase(name, "sec-fetch-site"): noteSite(field.value, span)
        case 14 where span.equalsIgnoringCase(name, "sec-fetch-mode"):
            head.isNavigation = span.equalsIgnoringCase(field.value, "navigate")
        case 15 where span.equalsIgnoringCase(name, "idempotency-key"): head.idempotencyKey.note(value)
        case 16 where span.equalsIgnoringCase(name, "content-encoding"): noteContentEncoding(field.value, span)
        case 17 where span.equalsIgnoringCase(name, "transfer-encoding"):
            try noteTransferEncoding(field.value, span)
        case 17 where span.equalsIgnoringCase(name, "if-modified-since"): head.ifModifiedSince.note(value)
        case 19 where span.equalsIgnoringCase(name, "if-unmodified-since"): head.ifUnmodifiedSince.note(value)
        case 29 where span.equalsIgnoringCase(name, "access-control-request-method"): head.asksForMethod = true
        default: break
        }
    }

    private mutating func noteHost(_ value: Range<Int>, _ span: Span<UInt8>) throws(Problem) {
        if head.hasHost { throw Refusals.hostRepeated }
        guard let host = Authority(span, value) else { throw Refusals.host }
        head.hasHost = true
        if head.authority == nil { head.authority = host }
    }

    private mutating func noteSite(_ value: Range<Int>, _ span: Span<UInt8>) {
        if span.equalsIgnoringCase(value, "cross-site") || span.equalsIgnoringCase(value, "same-site") {
            head.isFromOtherSite = true
        }
    }

    private mutating func noteContentEncoding(_ value: Range<Int>, _ span: Span<UInt8>) {
        Self.forEachElement(of: value, span) { coding in
            if !coding.isEmpty, !span.equalsIgnoringCase(coding, "identity") { head.isEncoded = true }
        }
    }

    private mutating func noteContentLength(_ value: Range<Int>, _ span: Span<UInt8>) throws(Problem) {
        if head.contentLength != nil { throw Refusals.contentLengthRepeated }
        // 18 digits always fit in 63 bits.
        guard (1...18).contains(value.count), span.allSatisfy(value, ByteClasses.isDigit),
            value.count == 1 || span[value.lowerBound] != UInt8(ascii: "0")
        else { throw Refusals.contentLength }
        var length = 0
        for index in value { length = length * 10 + Int(span[index] - UInt8(ascii: "0")) }
        head.contentLength = length
    }

    private mutating func noteTransferEncoding(_ value: Range<Int>, _ span: Span<UInt8>) throws(Problem) {
        guard !head.isChunked, span.equalsIgnoringCase(value, "chunked") else { throw Refusals.transferEncoding }
        head.isChunked = true
    }

    private mutating func noteExpectation(_ value: Range<Int>, _ span: Span<UInt8>) {
        let isContinue = span.equalsIgnoringCase(value, "100-continue") && head.expectation != .other
        head.expectation = isContinue ? .hundredContinue : .other
    }

    private mutating func noteConnection(_ value: Range<Int>, _ span: Span<UInt8>) {
        Self.forEachElement(of: value, span) { option in
            if span.equalsIgnoringCase(option, "close") { head.saysClose = true }
            if span.equalsIgnoringCase(option, "keep-alive") { head.saysKeepAlive = true }
        }
    }

    /// The elements of a list without the blanks round them (RFC 9110 §5.6.1); some may be empty.
    private static func forEachElement(of list: Range<Int>, _ span: Span<UInt8>, _ body: (Range<Int>) -> Void) {
        var rest = list
        while !rest.isEmpty {
            let comma = span.firstIndex(of: UInt8(ascii: ","), from: rest.lowerBound, to: rest.upperBound)
            body(span.trimmingBlanks(rest.lowerBound..<(comma ?? rest.upperBound)))
            rest = (comma.map { $0 + 1 } ?? rest.upperBound)..<rest.upperBound
        }
    }
}
