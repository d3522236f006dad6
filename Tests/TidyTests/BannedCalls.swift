/// A call that some floors must not make, and what to do instead.
struct BannedCall {
    /// The text as it stands in code. A letter at its start must not be the tail of a longer name.
    let text: String
    let floors: ClosedRange<Int>
    let instead: String
    /// The rest of a line that makes the call harmless.
    var unless: String?
    /// Whether `x.text` is meant too.
    var member = false

    static let all: [BannedCall] = [
        BannedCall(text: "Date(", floors: 1...3, instead: "take a Timestamp as an argument"),
        BannedCall(text: "ContinuousClock", floors: 1...3, instead: "take a MonotonicTime as an argument"),
        BannedCall(text: "SuspendingClock", floors: 1...3, instead: "take a MonotonicTime as an argument"),
        BannedCall(text: "DispatchTime", floors: 1...3, instead: "take a MonotonicTime as an argument"),
        BannedCall(text: "clock_gettime(", floors: 1...3, instead: "take a MonotonicTime as an argument"),
        BannedCall(
            text: ".random(", floors: 1...3, instead: "draw from a seeded SplitMix64", unless: "using:", member: true),
        BannedCall(
            text: ".randomElement(", floors: 1...3, instead: "draw from a SplitMix64", unless: "using:", member: true),
        BannedCall(
            text: ".shuffle(", floors: 1...3, instead: "shuffle with a SplitMix64", unless: "using:", member: true),
        BannedCall(
            text: ".shuffled(", floors: 1...3, instead: "shuffle with a SplitMix64", unless: "using:", member: true),
        BannedCall(text: "SystemRandomNumberGenerator", floors: 1...3, instead: "draw from a seeded SplitMix64"),
        BannedCall(text: "Task.sleep", floors: 1...3, instead: "let the driver pass the time in"),
        BannedCall(text: "Task {", floors: 1...3, instead: "hand the work out as an effect"),
        BannedCall(text: "Task.detached", floors: 1...3, instead: "hand the work out as an effect"),
        BannedCall(text: "ObjectIdentifier(", floors: 1...3, instead: "order and index by an id of our own"),
        BannedCall(text: "try!", floors: 1...7, instead: "throw, or say with precondition why it cannot fail"),
        BannedCall(text: "print(", floors: 1...5, instead: "log, or hand the text up to the executable"),
        BannedCall(text: "debugPrint(", floors: 1...7, instead: "log, or remove it"),
        BannedCall(text: "fatalError(", floors: 1...5, instead: "preconditionFailure with ids and numbers, or throw"),
        BannedCall(text: "unowned(unsafe)", floors: 1...7, instead: "a strong or weak reference"),
    ]

    func violations(in file: SourceFile) -> [Violation] {
        let needle = Array(text.utf8)
        let excuse = unless.map { Array($0.utf8) }
        return file.code.enumerated().compactMap { index, code in
            guard let at = code.firstName(needle, member: member) else { return nil }
            if let excuse, code.firstName(excuse, member: true, from: at) != nil { return nil }
            return Violation(path: file.path, line: index + 1, message: "`\(text)` does not belong here: \(instead)")
        }
    }
}

/// Constructs whose safety the compiler does not check: each wants the argument written down beside it, after `SAFETY`.
enum Unchecked {
    /// The argument may stand this far above: what declares wants it next to it, what a function does may share one.
    static let constructs: [(text: String, linesAbove: Int)] = [
        ("@unchecked Sendable", 3), ("nonisolated(unsafe)", 3), ("unsafeBitCast", 3), ("Unmanaged", 12),
        ("assumingMemoryBound", 12),
    ]

    static func violations(in file: SourceFile) -> [Violation] {
        constructs.flatMap { construct in
            let needle = Array(construct.text.utf8)
            return file.code.indices.compactMap { index -> Violation? in
                guard file.code[index].firstName(needle, member: true) != nil else { return nil }
                guard !isArgued(file, index, construct.linesAbove) else { return nil }
                let message = "`\(construct.text)` without a `SAFETY` comment beside it"
                return Violation(path: file.path, line: index + 1, message: message)
            }
        }
    }

    /// In the lines above, anywhere in the comment that stands directly above, or in the line below.
    private static func isArgued(_ file: SourceFile, _ index: Int, _ linesAbove: Int) -> Bool {
        var first = max(0, index - linesAbove)
        while first > 0, file.lines[first][file.lines[first].indentEnd...].starts(with: slashes) {
            first -= 1
        }
        return file.lines[first...min(index + 1, file.lines.count - 1)].contains { $0.firstName(word) != nil }
    }

    private static let slashes = Array("//".utf8)
    private static let word = Array("SAFETY".utf8)
}
