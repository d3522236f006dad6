import Primitives

/// Why bytes are no key.
enum KeyFault: Error {
    case kind
    case encodedKind
    case noID
    case idTooLong
    case escape
    case control
    case encoding
    case dotSegment

    var problem: Problem { Problem(.badKey, detail) }

    private var detail: String {
        switch self {
        case .kind:
            "a key is kind/id, and its kind is 1 to \(Limits.kindBytesMax) characters of a-z 0-9 . _ - "
                + "beginning with a letter or digit"
        case .encodedKind: "the kind of a key is never percent-encoded; write it as it is"
        case .noID: "the id of a key is at least 1 byte; the key ends after its kind"
        case .idTooLong: "the id of a key is at most \(Limits.idBytesMax) bytes, counted after percent-decoding"
        case .escape: "the id has a '%' without two hexadecimal digits after it; write a percent sign as %25"
        case .control: "the id has a control character (U+0000 to U+001F, U+007F to U+009F)"
        case .encoding: "the id is not valid UTF-8"
        case .dotSegment: "the id has a segment '.' or '..', which proxies and clients would rewrite"
        }
    }
}

/// One pass over the text of a key, which checks it and moves it together in place as escapes shrink it.
struct KeyScan {
    /// Bytes of the key, at the front of what was scanned.
    private(set) var count = 0
    private(set) var kindLength = 0

    private var validator = UTF8Validator()
    private var previous: UInt8 = 0
    private var segmentBytes = 0
    private var segmentIsDots = true

    /// The longest text that can be a key: every byte of the id escaped.
    static let textBytesMax = Limits.kindBytesMax + 1 + 3 * Limits.idBytesMax

    init(_ text: inout MutableSpan<UInt8>, percentDecoding: Bool) throws(KeyFault) {
        try scanKind(text)
        var reading = kindLength + 1
        count = reading
        while reading < text.count {
            var byte = text[reading]
            reading += 1
            if percentDecoding, byte == UInt8(ascii: "%") {
                guard reading + 2 <= text.count, let high = text[reading].hexadecimalValue,
                    let low = text[reading + 1].hexadecimalValue
                else { throw .escape }
                byte = high << 4 | low
                reading += 2
            }
            try accept(byte)
            text[count] = byte
            count += 1
        }
        try finish()
    }

    private mutating func scanKind(_ text: borrowing MutableSpan<UInt8>) throws(KeyFault) {
        while true {
            guard kindLength < text.count else { throw .kind }
            let byte = text[kindLength]
            if byte == UInt8(ascii: "/"), kindLength > 0 { return }
            guard byte != UInt8(ascii: "%") else { throw .encodedKind }
            guard Self.isKindByte(byte, first: kindLength == 0), kindLength < Limits.kindBytesMax else {
                throw .kind
            }
            kindLength += 1
        }
    }

    private mutating func accept(_ byte: UInt8) throws(KeyFault) {
        guard count - kindLength <= Limits.idBytesMax else { throw .idTooLong }
        guard validator.accept(byte) else { throw .encoding }
        // 0xC2 is never a continuation byte, so this pair is U+0080 to U+009F.
        let isC1 = previous == 0xC2 && byte <= 0x9F
        guard byte >= 0x20, byte != 0x7F, !isC1 else { throw .control }
        previous = byte
        if byte == UInt8(ascii: "/") {
            try finishSegment()
        } else {
            segmentBytes += 1
            segmentIsDots = segmentIsDots && byte == UInt8(ascii: ".")
        }
    }

    private mutating func finishSegment() throws(KeyFault) {
        guard !segmentIsDots || segmentBytes == 0 || segmentBytes > 2 else { throw .dotSegment }
        segmentBytes = 0
        segmentIsDots = true
    }

    private mutating func finish() throws(KeyFault) {
        guard count > kindLength + 1 else { throw .noID }
        guard validator.isComplete else { throw .encoding }
        try finishSegment()
    }

    static func isKindByte(_ byte: UInt8, first: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): !first
        default: false
        }
    }
}
