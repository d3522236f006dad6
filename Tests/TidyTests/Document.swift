import Foundation

/// A Markdown document, its prose apart from its code blocks.
struct Document {
    let path: String
    /// Every line with its number from 1, and whether it stands in a code block.
    let lines: [(number: Int, text: String, isCode: Bool)]

    /// `Rules` of `Sources/Primitives/Primitives.docc/Rules.md`.
    var name: String { String(path.split(separator: "/").last?.dropLast(3) ?? "") }

    /// The folder that its links start from; empty at the top.
    var folder: String { path.split(separator: "/").dropLast().joined(separator: "/") }

    var prose: [(number: Int, text: String)] { lines.filter { !$0.isCode }.map { ($0.number, $0.text) } }

    init(_ file: SourceFile) {
        path = file.path
        var lines: [(Int, String, Bool)] = []
        var isFenced = false
        var isIndented = false
        var wasBlank = true
        for (index, bytes) in file.lines.enumerated() {
            let text = String(decoding: bytes, as: UTF8.self)
            let isFence = text.hasPrefix("```")
            let isBlank = text.allSatisfy(\.isWhitespace)
            if !isFenced, !isBlank { isIndented = text.hasPrefix("    ") && (wasBlank || isIndented) }
            lines.append((index + 1, text, isFenced || isFence || (isIndented && !isBlank)))
            if isFence { isFenced.toggle() }
            wasBlank = isBlank
        }
        self.lines = lines
    }

    /// The documents of a tree, but for the tables that benchmarks write.
    static func all(in tree: SourceTree) -> [Document] {
        tree.files.filter { $0.path.hasSuffix(".md") && !$0.path.hasPrefix("Bench/results/") }.map(Document.init)
    }

    /// The numbers of its headings: `1` of `## 1. Entities`, `1.2` of `### 1.2 Versions`.
    var sections: Set<String> {
        Set(
            prose.compactMap { _, text in
                guard text.hasPrefix("## ") || text.hasPrefix("### ") else { return nil }
                let words = text.split(separator: " ")
                guard words.count > 2, words[1].first?.isNumber == true else { return nil }
                return words[1].hasSuffix(".") ? String(words[1].dropLast()) : String(words[1])
            })
    }

    /// The rules that it states, `G1` of `- **G1 One home.** …`.
    var rules: Set<String> {
        Set(
            prose.compactMap { _, text in
                guard text.hasPrefix("- **") else { return nil }
                return text.dropFirst(4).split(separator: " ").first.map(String.init)
            })
    }

    /// The cells of the tables in section `number`, without their heads.
    func tableRows(ofSection number: String) -> [(number: Int, cells: [String])] {
        var isInside = false
        var rows: [(Int, [String])] = []
        for (line, text) in prose {
            if text.hasPrefix("## ") { isInside = text.hasPrefix("## \(number). ") }
            guard isInside, text.hasPrefix("|"), !text.hasPrefix("| ---") else { continue }
            rows.append((line, Self.cells(of: text)))
        }
        return Array(rows.dropFirst())
    }

    static func cells(of row: String) -> [String] {
        row.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast()
            .map { $0.trimmingCharacters(in: .whitespaces) }
    }

    /// What stands between backticks on one line.
    static func spans(of text: String) -> [String] {
        let parts = text.split(separator: "`", omittingEmptySubsequences: false)
        return parts.indices.filter { $0 % 2 == 1 && $0 < parts.count - 1 }.map { String(parts[$0]) }
    }

    /// Where the links of one line lead, but for those to the web and within the document.
    static func relativeLinks(of text: String) -> [String] {
        text.components(separatedBy: "](").dropFirst().compactMap { rest in
            let target = rest.prefix { $0 != ")" && $0 != "#" }
            guard !target.isEmpty, !target.contains("://"), !target.hasPrefix("doc:") else { return nil }
            return String(target)
        }
    }
}

/// What leads from a text to a document, and where it leads.
enum Citation {
    private static let letters = "GRWI".utf8.map { $0 }

    /// Rules named in `line`: `W4`, `G6`.
    static func rules(in line: ArraySlice<UInt8>) -> [String] {
        var found: [String] = []
        for at in line.indices where letters.contains(line[at]) {
            guard at == line.startIndex || !line[at - 1].isNamePart else { continue }
            let rest = line[(at + 1)...]
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
            guard (1...2).contains(digits.count) else { continue }
            if digits.endIndex < line.endIndex, line[digits.endIndex].isNamePart { continue }
            found.append(String(decoding: line[at..<digits.endIndex], as: UTF8.self))
        }
        return found
    }

    /// Sections named in `line`: the word before each `§`, and the number after it. A number behind a comma or an
    /// "and" belongs to the word of the number before.
    static func sections(in line: String) -> [(article: String, section: String)] {
        let parts = line.components(separatedBy: "§")
        var found: [(String, String)] = []
        for (before, after) in zip(parts, parts.dropFirst()) {
            var section = String(after.prefix { $0.isNumber || $0 == "." })
            while section.hasSuffix(".") { section.removeLast() }
            let words = before.split { $0 == " " || $0 == "(" }
            let goesOn = words.last.map { $0 == "and" || $0.last == "," } ?? false
            found.append((goesOn ? found.last?.0 ?? "" : String(words.last ?? ""), section))
        }
        return found
    }

    /// Documents of others that comments cite by section.
    static func isForeign(_ article: String) -> Bool {
        article.allSatisfy(\.isNumber) && !article.isEmpty || ["Fetch", "URL", "Delight\""].contains(article)
    }
}
