/// Finds the bodies of functions, initialisers and deinitialisers, and counts their lines from the name to the last
/// brace.
struct FunctionLength {
    static let linesMax = 70

    private let file: SourceFile
    private let text: [UInt8]
    /// The line, counted from 1, of each byte of `text`.
    private let lineStarts: [Int]

    static func violations(in file: SourceFile) -> [Violation] { FunctionLength(file).violations() }

    private init(_ file: SourceFile) {
        self.file = file
        var text: [UInt8] = []
        var lineStarts: [Int] = []
        for line in file.code {
            lineStarts.append(text.count)
            text += line
            text.append(UInt8(ascii: "\n"))
        }
        self.text = text
        self.lineStarts = lineStarts
    }

    private func violations() -> [Violation] {
        var found: [Violation] = []
        for (index, code) in file.code.enumerated() {
            guard let start = declaration(in: code) else { continue }
            let offset = lineStarts[index] + (start - code.startIndex)
            guard let end = bodyEnd(from: offset) else { continue }
            let lines = line(of: end) - index
            if lines > Self.linesMax {
                let message = "a function of \(lines) lines; \(Self.linesMax) at most"
                found.append(Violation(path: file.path, line: index + 1, message: message))
            }
        }
        return found
    }

    private static let keywords = ["func ", "init(", "init?(", "init<", "deinit {"].map { Array($0.utf8) }

    private func declaration(in code: ArraySlice<UInt8>) -> Int? {
        for keyword in Self.keywords {
            if let at = code.firstName(keyword) { return at }
        }
        return nil
    }

    /// Past the parameter list, on to the brace that opens the body and to the one that closes it; `nil` for a
    /// requirement of a protocol, which has no body.
    private func bodyEnd(from start: Int) -> Int? {
        var at = start
        var parentheses = 0
        while at < text.count {
            switch text[at] {
            case UInt8(ascii: "("): parentheses += 1
            case UInt8(ascii: ")"): parentheses -= 1
            case UInt8(ascii: "{") where parentheses == 0: return closingBrace(from: at)
            case UInt8(ascii: "}") where parentheses == 0: return nil
            case UInt8(ascii: "\n") where parentheses == 0 && !continues(after: at): return nil
            default: break
            }
            at += 1
        }
        return nil
    }

    private static let continuations = ["{", "->", "where ", "throws", "async", "rethrows", ")"].map { Array($0.utf8) }

    private func continues(after newline: Int) -> Bool {
        let rest = text[(newline + 1)...]
        let begin = rest.firstIndex { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\n") } ?? rest.endIndex
        return Self.continuations.contains { rest[begin...].starts(with: $0) }
    }

    private func closingBrace(from open: Int) -> Int? {
        var depth = 0
        for at in open..<text.count {
            if text[at] == UInt8(ascii: "{") { depth += 1 }
            if text[at] == UInt8(ascii: "}") {
                depth -= 1
                if depth == 0 { return at }
            }
        }
        return nil
    }

    private func line(of offset: Int) -> Int {
        var low = 0
        var high = lineStarts.count
        while low < high {
            let middle = (low + high) / 2
            if lineStarts[middle] <= offset { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
