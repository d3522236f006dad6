/// Text from outside as it may be shown: on a terminal, in a log, inside JSON. Pure; any thread may call it.
///
/// What a server, a peer, a store or a caller wrote may drive a terminal, turn the direction of a line, hide letters or
/// forge lines. So every place where text leaves for people's eyes runs it through here. Escapes are ASCII and stay as
/// they are when they come through here a second time.
public enum VisibleText {
    /// What may stay although it is a control character.
    public enum Layout: Sendable {
        /// Nothing: the text is one line, or a part of one.
        case line
        /// Line feeds.
        case lines
        /// Line feeds and tabs: a state that somebody looks at.
        case state
    }

    /// `text` with everything that is not plainly visible written as `\u{1b}`: controls (C0, DEL, C1), marks of
    /// direction, invisible and unassigned characters, line and paragraph separators, private use, variation
    /// selectors, and combining marks beyond ``Limits/marksInRowMax`` in a row or without a letter to stand on.
    public static func escaped(_ text: String, _ layout: Layout = .line) -> String {
        var text = text
        return text.withUTF8 { bytes in
            bytes.allSatisfy(isPlain)
                ? nil : String(decoding: escape(bytes, layout), as: UTF8.self)
        } ?? text
    }

    /// The same of bytes, whose invalid UTF-8 is written as `\xff`, a byte each.
    public static func escaped(_ bytes: ArraySlice<UInt8>, _ layout: Layout) -> [UInt8] {
        bytes.withUnsafeBufferPointer { $0.allSatisfy(isPlain) ? Array($0) : escape($0, layout) }
    }

    /// The same, cut after about `bytesMax` bytes, with a note of how many bytes were left out.
    public static func escaped(_ text: String, bytesMax: Int) -> String {
        let bytes = text.utf8
        guard bytes.count > bytesMax else { return escaped(text) }
        var end = bytes.index(bytes.startIndex, offsetBy: bytesMax)
        while bytes[end] & 0xC0 == 0x80 { end = bytes.index(before: end) }
        let left = bytes.count - bytes.distance(from: bytes.startIndex, to: end)
        return escaped(String(text[..<end])) + "… (\(left) bytes more)"
    }

    /// JSON text with everything that ``escaped(_:_:)`` would escape inside strings written as `\uXXXX`. To a reader of
    /// JSON it says the same. `json` must be valid JSON: outside of strings it then is ASCII.
    public static func json(_ json: some Sequence<UInt8>) -> [UInt8] {
        let bytes = Array(json)
        guard !bytes.allSatisfy({ $0 < 0x7F }) else { return bytes }
        var shown: [UInt8] = []
        shown.reserveCapacity(bytes.count)
        walk(bytes[...]) { step in
            switch step {
            case .scalar(let scalar, let encoded):
                // Line ends and tabs between tokens are JSON's own.
                if scalar.value >= 0x7F, isHidden(scalar) {
                    for unit in UTF16.encode(scalar).map({ Array($0) }) ?? [] { appendUnit(unit, to: &shown) }
                } else {
                    shown.append(contentsOf: encoded)
                }
            case .invalid: shown.append(contentsOf: #"\ufffd"#.utf8)
            }
        }
        return shown
    }

    /// `text` as a JSON string with its quotes, escaped as ``json(_:)`` does.
    public static func jsonString(_ text: String) -> String {
        var quoted: [UInt8] = [UInt8(ascii: "\"")]
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): quoted += [UInt8(ascii: "\\"), byte]
            case 0x0A: quoted += #"\n"#.utf8
            case 0..<0x20: appendUnit(UInt16(byte), to: &quoted)
            default: quoted.append(byte)
            }
        }
        quoted.append(UInt8(ascii: "\""))
        return String(decoding: json(quoted), as: UTF8.self)
    }

    /// Whether a character shows nothing of its own, or does something besides showing.
    public static func isHidden(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x7F { return scalar.value < 0x20 }
        let properties = scalar.properties
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: return true
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter, .nonspacingMark,
            .spacingMark, .enclosingMark, .decimalNumber, .letterNumber, .otherNumber, .connectorPunctuation,
            .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation,
            .otherPunctuation, .mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol, .spaceSeparator:
            return properties.isDefaultIgnorableCodePoint
        @unknown default: return true
        }
    }

    // MARK: Inside

    private static func isPlain(_ byte: UInt8) -> Bool { (0x20...0x7E).contains(byte) }

    private enum Step {
        case scalar(Unicode.Scalar, Unicode.UTF8.EncodedScalar)
        case invalid(ArraySlice<UInt8>)
    }

    private static func walk(_ bytes: ArraySlice<UInt8>, _ visit: (Step) -> Void) {
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var place = bytes.startIndex
        while true {
            switch parser.parseScalar(from: &iterator) {
            case .valid(let encoded):
                place += encoded.count
                visit(.scalar(Unicode.UTF8.decode(encoded), encoded))
            case .error(let length):
                visit(.invalid(bytes[place..<(place + length)]))
                place += length
            case .emptyInput: return
            }
        }
    }

    private static func escape(_ buffer: UnsafeBufferPointer<UInt8>, _ layout: Layout) -> [UInt8] {
        var shown: [UInt8] = []
        shown.reserveCapacity(buffer.count + buffer.count / 8)
        // A mark with nothing before it would join what stands in front of the text.
        var marks = Limits.marksInRowMax
        walk(Array(buffer)[...]) { step in
            switch step {
            case .scalar(let scalar, let encoded):
                let isMark = isCombining(scalar)
                marks = isMark ? marks + 1 : 0
                if stays(scalar, layout) {
                    marks = Limits.marksInRowMax
                    shown.append(contentsOf: encoded)
                } else if isHidden(scalar) || isMark && marks > Limits.marksInRowMax {
                    marks = Limits.marksInRowMax
                    shown.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".utf8)
                } else {
                    shown.append(contentsOf: encoded)
                }
            case .invalid(let bytes):
                marks = Limits.marksInRowMax
                for byte in bytes {
                    shown.append(contentsOf: "\\x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))".utf8)
                }
            }
        }
        return shown
    }

    private static func stays(_ scalar: Unicode.Scalar, _ layout: Layout) -> Bool {
        switch layout {
        case .line: false
        case .lines: scalar == "\n"
        case .state: scalar == "\n" || scalar == "\t"
        }
    }

    private static func isCombining(_ scalar: Unicode.Scalar) -> Bool {
        guard scalar.value >= 0x300 else { return false }
        let category = scalar.properties.generalCategory
        return category == .nonspacingMark || category == .enclosingMark
    }

    private static func appendUnit(_ unit: UInt16, to shown: inout [UInt8]) {
        let digits = String(unit, radix: 16)
        shown.append(contentsOf: "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)".utf8)
    }
}
