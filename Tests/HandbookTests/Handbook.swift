import Foundation
import Testing

/// The documents for people who run and use Keystead, as text.
enum Handbook {
    static let contract = "Sources/HTTPFront/HTTPFront.docc/Contract.md"
    static let operations = "deploy/OPERATIONS.md"
    /// Documents that show commands and flags of the programs.
    static let withCommands = ["README.md", operations, contract, ".github/CONTRIBUTING.md", ".github/CHANGELOG.md"]

    static let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func text(of path: String) throws -> String {
        try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
    }

    static func lines(of path: String) throws -> [String] { try text(of: path).components(separatedBy: "\n") }

    /// The lines of code blocks: between fences, or four columns in. A line that ends in `\` goes on in the next.
    static func codeLines(of path: String) throws -> [String] {
        var found: [String] = []
        var (isFenced, goesOn) = (false, false)
        for line in try lines(of: path) {
            if line.hasPrefix("```") { isFenced.toggle() }
            guard isFenced || line.hasPrefix("    "), !line.hasPrefix("```") else { continue }
            let text = line.trimmingCharacters(in: .whitespaces)
            if goesOn { found[found.count - 1] += text } else { found.append(text) }
            goesOn = text.hasSuffix("\\")
            if goesOn { found[found.count - 1].removeLast() }
        }
        return found
    }

    /// What stands between backticks in the prose.
    static func spans(of path: String) throws -> [String] {
        try lines(of: path).filter { !$0.hasPrefix("    ") && !$0.hasPrefix("```") }.flatMap { line in
            let parts = line.split(separator: "`", omittingEmptySubsequences: false)
            return parts.indices.filter { $0 % 2 == 1 && $0 < parts.count - 1 }.map { String(parts[$0]) }
        }
    }

    static func cells(of row: String) -> [String] {
        row.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast()
            .map { $0.trimmingCharacters(in: .whitespaces) }
    }

    /// Holds the rows between `<!-- NAME -->` and `<!-- end of NAME -->` to `make`, which gets those that stand there.
    /// With `KEYSTEAD_WRITE_DOCUMENTS=1` in the environment it writes them instead.
    static func holdTable(_ name: String, of path: String, _ make: ([String]) throws -> [String]) throws {
        let lines = try lines(of: path)
        let first = try #require(lines.firstIndex(of: "<!-- \(name) -->"), "\(path) has no table \(name)") + 1
        let last = try #require(lines.firstIndex(of: "<!-- end of \(name) -->"))
        let rows = Array(lines[first..<last])
        let wanted = try make(rows)
        if ProcessInfo.processInfo.environment["KEYSTEAD_WRITE_DOCUMENTS"] == "1" {
            let text = (lines[..<first] + wanted + lines[last...]).joined(separator: "\n")
            try text.write(to: root.appendingPathComponent(path), atomically: true, encoding: .utf8)
            return
        }
        guard rows != wanted else { return }
        let differences =
            wanted.filter { !rows.contains($0) } + rows.filter { !wanted.contains($0) }.map { "not: \($0)" }
        Issue.record(
            """
            table \(name) of \(path) is not what the code says; KEYSTEAD_WRITE_DOCUMENTS=1 swift test --filter \
            HandbookTests writes it
            \(differences.joined(separator: "\n"))
            """)
    }
}

/// As much of a shell's syntax as documents use.
enum ShellLine {
    /// The commands of a line, each as its words.
    static func commands(of line: String) -> [[String]] {
        var commands: [[String]] = [[]]
        var word: String?
        var quote: Character?
        var isEscaped = false
        func end() {
            if let ended = word { commands[commands.count - 1].append(ended) }
            word = nil
        }
        for character in line {
            if isEscaped {
                word = (word ?? "") + String(character)
                isEscaped = false
            } else if let open = quote {
                if character == open { quote = nil } else { word?.append(character) }
            } else {
                switch character {
                case "'", "\"":
                    quote = character
                    word = word ?? ""
                case "\\": isEscaped = true
                case " ": end()
                case "#" where word == nil: return commands.filter { !$0.isEmpty }
                case "|", "&", ";", "<", ">", "(", ")":
                    end()
                    commands.append([])
                default: word = (word ?? "") + String(character)
                }
            }
        }
        end()
        return commands.filter { !$0.isEmpty }
    }
}
