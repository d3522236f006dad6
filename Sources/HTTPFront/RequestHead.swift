internal import NIOCore

/// A piece of a request head, as offsets from the head's first byte. A head is far below 64 KiB by the limits.
struct HeadRange: Equatable {
    let start: UInt16
    let end: UInt16

    init(_ range: Range<Int>) {
        start = UInt16(range.lowerBound)
        end = UInt16(range.upperBound)
    }

    var range: Range<Int> { Int(start)..<Int(end) }
    var isEmpty: Bool { start == end }
}

/// The first value of a field that may be repeated; the head keeps the others. Repeats are rare; only they allocate.
struct FieldValues {
    private(set) var first: HeadRange?

    /// A value behind the first one.
    struct Repeat {
        let first: HeadRange
        let value: HeadRange
    }

    var isEmpty: Bool { first == nil }

    mutating func append(_ value: HeadRange, _ repeats: inout [Repeat]) {
        if let first { repeats.append(Repeat(first: first, value: value)) } else { first = value }
    }
}

/// The value of a field that may stand once.
struct SingleField {
    private(set) var value: HeadRange?
    private(set) var isRepeated = false

    mutating func note(_ range: HeadRange) {
        if value == nil { value = range } else { isRepeated = true }
    }
}

/// The request line and what its fields say, as ranges of the head's own bytes. Fields that the front does not act on
/// have been checked for form and are not kept.
///
/// It is copied a few times a request, so its size matters: up to 128 bytes the compiler copies in place.
struct RequestHead {
    enum Method: UInt8 {
        case get, head, put, patch, delete, post, options, connect
        /// A well-formed method that no route knows.
        case other
    }

    /// RFC 9112 §3.2.
    enum TargetForm: UInt8 {
        /// A path, from an origin-form or an absolute-form target.
        case path
        /// `*`
        case asterisk
        /// `host:port`, only ever with CONNECT.
        case authority
    }

    enum Expectation: UInt8 {
        case none, hundredContinue, other
    }

    /// The head's bytes, from the request line to the empty line.
    var bytes = ByteBuffer()

    var method = Method.get
    var methodName = HeadRange(0..<0)
    var form = TargetForm.path
    /// The path as sent, not decoded; it starts with `/` (or is empty in an absolute-form target without a path).
    var path = HeadRange(0..<0)
    /// What follows `?`, not decoded.
    var query: HeadRange?
    /// 0 or 1. A higher minor version of HTTP/1 is handled as 1.1 (RFC 9110 §2.5).
    var minorVersion: UInt8 = 1

    var contentLength: Int?
    var isChunked = false
    /// Whom the client believes to be talking to: the target says it before `Host` does (RFC 9112 §3.2.2).
    var authority: Authority?
    var hasHost = false
    var saysClose = false
    var saysKeepAlive = false
    var expectation = Expectation.none

    var contentType = SingleField()
    var idempotencyKey = SingleField()
    var ifMatch = FieldValues()
    var ifNoneMatch = FieldValues()
    var prefer = FieldValues()
    /// Of those three.
    var repeats: [FieldValues.Repeat] = []
    var ifModifiedSince = SingleField()
    var ifUnmodifiedSince = SingleField()
    /// `Content-Encoding` names a coding other than `identity`.
    var isEncoded = false

    var origin = SingleField()
    /// `Sec-Fetch-Site` is `cross-site` or `same-site`: a page of another origin made the request.
    var isFromOtherSite = false
    /// `Sec-Fetch-Mode: navigate`: the browser goes to the target.
    var isNavigation = false
    /// `Access-Control-Request-Method` is there.
    var asksForMethod = false

    /// A body may follow.
    var hasBody: Bool { isChunked || (contentLength ?? 0) > 0 }

    /// Whether the connection stays open after the answer, as far as the client is concerned (RFC 9112 §9.3).
    var keepsAlive: Bool { !saysClose && (minorVersion >= 1 || saysKeepAlive) }

    func array(_ piece: HeadRange) -> [UInt8] {
        bytes.getBytes(at: bytes.readerIndex + Int(piece.start), length: piece.range.count) ?? []
    }

    /// Replaces what is in `scratch`, which keeps its capacity.
    func copy(_ piece: HeadRange, into scratch: inout [UInt8]) {
        scratch.removeAll(keepingCapacity: true)
        bytes.withUnsafeReadableBytes { scratch.append(contentsOf: $0[piece.range]) }
    }

    func arrays(_ values: FieldValues) -> [ArraySlice<UInt8>] {
        guard let first = values.first else { return [] }
        guard !repeats.isEmpty else { return [array(first)[...]] }
        return [array(first)[...]] + repeats.filter { $0.first == first }.map { array($0.value)[...] }
    }
}
