/// Enough of Swift's lexical structure to tell code from comments and string literals.
enum CodeText {
    private enum Context {
        /// Code, down to the parenthesis that closes the interpolation it stands in (`nil` at the top of a file).
        case code(openParentheses: Int?)
        case string(hashes: Int, multiline: Bool)
        case lineComment
        case blockComment(depth: Int)
    }

    /// The same bytes with every comment and the contents of every string literal replaced by spaces. Quotes, line
    /// feeds and the code inside interpolations stay, so that lines and columns do too.
    static func blankingCommentsAndStrings(_ bytes: [UInt8]) -> [UInt8] {
        var scanner = Scanner(bytes: bytes)
        scanner.run()
        return scanner.blanked
    }

    private struct Scanner {
        let bytes: [UInt8]
        var blanked: [UInt8]
        var index = 0
        var contexts: [Context] = [.code(openParentheses: nil)]

        init(bytes: [UInt8]) {
            self.bytes = bytes
            self.blanked = bytes
        }

        mutating func run() {
            while index < bytes.count {
                switch contexts[contexts.count - 1] {
                case .code(let open): scanCode(open)
                case .string(let hashes, let multiline): scanString(hashes, multiline)
                case .lineComment: scanLineComment()
                case .blockComment(let depth): scanBlockComment(depth)
                }
            }
        }

        private mutating func scanCode(_ open: Int?) {
            if starts(with: "//") { return enter(.lineComment, blanking: 2) }
            if starts(with: "/*") { return enter(.blockComment(depth: 1), blanking: 2) }
            if let (hashes, multiline) = stringOpening() {
                contexts.append(.string(hashes: hashes, multiline: multiline))
                index += hashes + (multiline ? 3 : 1)
                return
            }
            if let open {
                if bytes[index] == UInt8(ascii: "(") { replaceTop(.code(openParentheses: open + 1)) }
                if bytes[index] == UInt8(ascii: ")") {
                    if open == 1 { contexts.removeLast() } else { replaceTop(.code(openParentheses: open - 1)) }
                }
            }
            index += 1
        }

        private mutating func scanString(_ hashes: Int, _ multiline: Bool) {
            if bytes[index] == UInt8(ascii: "\\"), followedByHashes(hashes, after: index) {
                let next = index + 1 + hashes
                if next < bytes.count, bytes[next] == UInt8(ascii: "(") {
                    contexts.append(.code(openParentheses: 1))
                    index = next + 1
                } else {
                    blank(min(2 + hashes, bytes.count - index))
                }
                return
            }
            let quotes = multiline ? 3 : 1
            let closes =
                starts(with: multiline ? "\"\"\"" : "\"") && followedByHashes(hashes, after: index + quotes - 1)
            if closes {
                contexts.removeLast()
                index += quotes + hashes
            } else if bytes[index] == UInt8(ascii: "\n"), !multiline {
                contexts.removeLast()
            } else {
                blank(1)
            }
        }

        private mutating func scanLineComment() {
            if bytes[index] == UInt8(ascii: "\n") { contexts.removeLast() } else { blank(1) }
        }

        private mutating func scanBlockComment(_ depth: Int) {
            if starts(with: "/*") {
                replaceTop(.blockComment(depth: depth + 1))
                blank(2)
            } else if starts(with: "*/") {
                if depth == 1 { contexts.removeLast() } else { replaceTop(.blockComment(depth: depth - 1)) }
                blank(2)
            } else {
                blank(1)
            }
        }

        private func stringOpening() -> (hashes: Int, multiline: Bool)? {
            var quote = index
            while quote < bytes.count, bytes[quote] == UInt8(ascii: "#") { quote += 1 }
            guard quote < bytes.count, bytes[quote] == UInt8(ascii: "\"") else { return nil }
            let multiline =
                quote + 2 < bytes.count && bytes[quote + 1] == UInt8(ascii: "\"")
                && bytes[quote + 2] == UInt8(ascii: "\"")
            return (quote - index, multiline)
        }

        private func followedByHashes(_ count: Int, after position: Int) -> Bool {
            guard position + count < bytes.count else { return count == 0 }
            return bytes[(position + 1)..<(position + 1 + count)].allSatisfy { $0 == UInt8(ascii: "#") }
        }

        private func starts(with text: StaticString) -> Bool {
            let count = text.utf8CodeUnitCount
            guard index + count <= bytes.count else { return false }
            return text.withUTF8Buffer { wanted in
                for offset in 0..<count where bytes[index + offset] != wanted[offset] { return false }
                return true
            }
        }

        private mutating func replaceTop(_ context: Context) { contexts[contexts.count - 1] = context }

        private mutating func enter(_ context: Context, blanking count: Int) {
            contexts.append(context)
            blank(count)
        }

        private mutating func blank(_ count: Int) {
            for _ in 0..<count {
                if bytes[index] != UInt8(ascii: "\n") { blanked[index] = UInt8(ascii: " ") }
                index += 1
            }
        }
    }
}

/// Searching in the bytes of a line.
extension ArraySlice<UInt8> {
    /// The index of the first occurrence of `needle` that is not the tail of a longer name: when `needle` begins with a
    /// letter, no letter, digit or `_` stands before it, nor a `.` unless `member` allows one.
    func firstName(_ needle: [UInt8], member: Bool = false, from start: Int? = nil) -> Int? {
        guard let first = needle.first, count >= needle.count else { return nil }
        var at = start ?? startIndex
        while at + needle.count <= endIndex {
            if self[at] == first, self[at..<(at + needle.count)].elementsEqual(needle), standsAlone(at, first, member) {
                return at
            }
            at += 1
        }
        return nil
    }

    private func standsAlone(_ at: Int, _ first: UInt8, _ member: Bool) -> Bool {
        guard first.isNamePart, at > startIndex else { return true }
        let before = self[at - 1]
        return !before.isNamePart && (member || before != UInt8(ascii: "."))
    }

    /// The index of the first non-blank byte.
    var indentEnd: Int { firstIndex { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") } ?? endIndex }
}

extension UInt8 {
    var isNamePart: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): true
        default: false
        }
    }
}
