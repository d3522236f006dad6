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
        BannedCall(text: "try!", floors: 1...6, instead: "throw, or say with precondition why it cannot fail"),
        BannedCall(text: "print(", floors: 1...5, instead: "log, or hand the text up to the executable"),
        BannedCall(text: "debugPrint(", floors: 1...6, instead: "log, or remove it"),
        BannedCall(text: "fatalError(", floors: 1...5, instead: "preconditionFailure with ids and numbers, or throw"),
        BannedCall(text: "unowned(unsafe)", floors: 1...6, instead: "a strong or weak reference"),
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

/// Constructs whose safety the compiler does not check: each wants the argument written down beside it.
enum Unchecked {
    static let constructs = [
        "@unchecked Sendable", "nonisolated(unsafe)", "unsafeBitCast", "Unmanaged", "assumingMemoryBound",
    ]
    static let linesAbove = 3

    static func violations(in file: SourceFile) -> [Violation] {
        var found: [Violation] = []
        for construct in constructs {
            let needle = Array(construct.utf8)
            for (index, code) in file.code.enumerated() where code.firstName(needle, member: true) != nil {
                let nearby = file.lines[max(0, index - linesAbove)...index]
                if nearby.contains(where: { $0.firstName(Array("SAFETY:".utf8)) != nil }) { continue }
                let message = "`\(construct)` without a `SAFETY:` comment in the \(linesAbove) lines above"
                found.append(Violation(path: file.path, line: index + 1, message: message))
            }
        }
        return found
    }
}
