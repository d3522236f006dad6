internal import Entities
internal import Primitives

/// Finds the end of one line, incrementally: bytes that have been looked at are not looked at again.
///
/// A line ends in CR LF and holds no other control character (HTAB where allowed). Offsets count from the first byte of
/// the span, which is the same byte on every call until the line has been consumed.
struct LineScan {
    /// Where the line starts.
    var start = 0
    /// Bytes looked at; after a line was found, the offset behind its CR LF.
    var scanned = 0

    /// The line's text without CR LF, or `nil` until all of it is there.
    ///
    /// - Parameters:
    ///   - limit: bytes that the text may have.
    ///   - overflow: thrown when it has more.
    mutating func next(
        _ span: Span<UInt8>, limit: Int, allowsTab: Bool, overflow: @autoclosure () -> Problem
    ) throws(Problem) -> Range<Int>? {
        // The byte just past the limit may only be the CR.
        let stop = min(span.count, start + limit + 1)
        var index = scanned
        while index < stop {
            index = span.firstControl(from: index, to: stop)
            if index == stop { break }
            switch span[index] {
            case ByteClasses.carriageReturn:
                guard index + 1 < span.count else {
                    scanned = index
                    return nil
                }
                guard span[index + 1] == ByteClasses.lineFeed else { throw Refusals.bareCarriageReturn }
                scanned = index + 2
                return start..<index
            case ByteClasses.tab where allowsTab: index += 1
            case ByteClasses.lineFeed: throw Refusals.bareLineFeed
            default: throw Refusals.controlCharacter
            }
        }
        scanned = index
        if index > start + limit { throw overflow() }
        return nil
    }
}

/// `name ":" OWS value OWS` (RFC 9112 §5), checked.
struct FieldLine {
    let name: Range<Int>
    let value: Range<Int>

    init(_ span: Span<UInt8>, _ text: Range<Int>) throws(Problem) {
        if ByteClasses.isBlank(span[text.lowerBound]) { throw Refusals.foldedField }
        guard let colon = span.firstIndex(of: UInt8(ascii: ":"), from: text.lowerBound, to: text.upperBound) else {
            throw Refusals.fieldWithoutColon
        }
        name = text.lowerBound..<colon
        guard !name.isEmpty, span.allSatisfy(name, ByteClasses.isToken) else { throw Refusals.fieldName }
        value = span.trimmingBlanks(colon + 1..<text.upperBound)
    }
}

/// `chunk-size [ chunk-ext ]` (RFC 9112 §7.1). Extensions are checked and ignored; blanks are refused throughout. A
/// size that no `Int` holds is taken as `Int.max`: no body comes to its end.
enum ChunkLine {
    static func size(_ span: Span<UInt8>, _ text: Range<Int>) throws(Problem) -> Int {
        var index = text.lowerBound
        var size = 0
        while index < text.upperBound, let digit = span[index].hexadecimalValue {
            size = size > Int.max >> 4 ? Int.max : size << 4 | Int(digit)
            index += 1
        }
        guard index > text.lowerBound else { throw Refusals.chunkSize }
        while index < text.upperBound {
            index = try skipExtension(span, index, text.upperBound)
        }
        return size
    }

    /// `";" token [ "=" ( token / quoted-string ) ]`
    private static func skipExtension(_ span: Span<UInt8>, _ start: Int, _ end: Int) throws(Problem) -> Int {
        guard span[start] == UInt8(ascii: ";") else { throw Refusals.chunkSize }
        let afterName = skipToken(span, start + 1, end)
        guard afterName > start + 1 else { throw Refusals.chunkExtension }
        guard afterName < end, span[afterName] == UInt8(ascii: "=") else { return afterName }
        let value = afterName + 1
        if value < end, span[value] == UInt8(ascii: "\"") { return try skipQuoted(span, value + 1, end) }
        let afterValue = skipToken(span, value, end)
        guard afterValue > value else { throw Refusals.chunkExtension }
        return afterValue
    }

    private static func skipToken(_ span: Span<UInt8>, _ start: Int, _ end: Int) -> Int {
        var index = start
        while index < end, ByteClasses.isToken(span[index]) { index += 1 }
        return index
    }

    /// Returns the offset behind the closing quote.
    private static func skipQuoted(_ span: Span<UInt8>, _ start: Int, _ end: Int) throws(Problem) -> Int {
        var index = start
        while index < end {
            switch span[index] {
            case UInt8(ascii: "\""): return index + 1
            case UInt8(ascii: "\\"): index += 2
            default: index += 1
            }
        }
        throw Refusals.chunkExtension
    }
}
