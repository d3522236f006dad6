import Foundation
import Testing

/// Documents lead where they say, and what code cites is there.
@Suite struct DocumentTests {
    static let tree = SourceTree.current
    static let documents = Document.all(in: tree)
    static let rules = documents.first { $0.path.hasSuffix("/Rules.md") }
    static let glossary = documents.first { $0.path.hasSuffix("/Glossary.md") }

    @Test func theDocumentsWereRead() throws {
        #expect(try #require(Self.rules).rules.isSuperset(of: (1...9).map { "G\($0)" }))
        #expect(Self.documents.first { $0.name == "Contract" }?.sections.contains("1.9") == true)
        #expect(Self.documents.first { $0.name == "Architecture" }?.sections.contains("4.1") == true)
        #expect(Self.documents.contains { $0.path == "README.md" })
    }

    @Test func everyCitedRuleIsStated() throws {
        let stated = try #require(Self.rules).rules
        report(
            Self.comments.flatMap { path, line, text in
                Citation.rules(in: text).filter { !stated.contains($0) }.map {
                    Violation(path: path, line: line, message: "there is no rule \($0)")
                }
            })
    }

    @Test func everyCitedSectionIsThere() {
        let sections = Dictionary(uniqueKeysWithValues: Self.documents.map { ($0.path, $0.sections) })
        report(
            Self.tree.files.flatMap { file -> [Violation] in
                guard !file.path.hasPrefix("Tests/TidyTests/"), !file.path.hasPrefix("Bench/results/") else {
                    return []
                }
                return file.lines.enumerated().flatMap { index, bytes -> [Violation] in
                    guard bytes.contains(0xA7) else { return [] }
                    return Citation.sections(in: String(decoding: bytes, as: UTF8.self)).compactMap {
                        article, section in
                        guard !Citation.isForeign(article) else { return nil }
                        let known = sections.first { $0.key.hasSuffix("/\(article).md") }?.value
                        guard known?.contains(section) != true else { return nil }
                        return Violation(
                            path: file.path, line: index + 1, message: "'\(article) §\(section)' leads nowhere")
                    }
                }
            })
    }

    @Test func everyLinkLeadsToAFile() {
        report(
            Self.documents.flatMap { document in
                document.prose.flatMap { line, text in
                    Document.relativeLinks(of: text).filter { !exists($0, from: document) }.map {
                        Violation(path: document.path, line: line, message: "there is no file \($0)")
                    }
                }
            })
    }

    static let tops = ["Sources/", "Tests/", "Bench/", "deploy/", ".github/", ".ci/"]
    static let endings = [".swift", ".md", ".py", ".json", ".yml"]

    /// Names of files stand between backticks, with their way from the top of the repository.
    @Test func everyNamedFileIsThere() {
        let inDocuments = Self.documents.flatMap { document in
            document.prose.flatMap { line, text in
                Document.spans(of: text).filter(Self.isFileName).filter { !exists($0, from: document) }.map {
                    Violation(path: document.path, line: line, message: "there is no file \($0)")
                }
            }
        }
        let inComments = Self.comments.flatMap { path, line, text -> [Violation] in
            guard path.hasSuffix(".swift") else { return [] }
            let spans = Document.spans(of: String(decoding: text, as: UTF8.self))
            return spans.filter { span in Self.tops.contains { span.hasPrefix($0) } && !isThere(span) }.map {
                Violation(path: path, line: line, message: "there is no file \($0)")
            }
        }
        report(inDocuments + inComments)
    }

    private static func isFileName(_ span: String) -> Bool {
        guard !span.contains(where: { $0 == " " || $0 == "*" || $0 == "…" }) else { return false }
        return tops.contains { span.hasPrefix($0) } || endings.contains { span.hasSuffix($0) && span != $0 }
    }

    /// A type that an article names is one of the code.
    @Test func everyNamedTypeIsThere() {
        let words = Self.wordsOfCode
        report(
            Self.documents.filter { $0.path.contains(".docc/") }.flatMap { document in
                document.prose.flatMap { line, text in
                    Document.spans(of: text).filter { Self.isTypeName($0) && !words.contains($0) }.map {
                        Violation(path: document.path, line: line, message: "the code has no \($0)")
                    }
                }
            })
    }

    /// Two words or more, each with a capital, and nothing but letters: `ShardMachine`.
    private static func isTypeName(_ span: String) -> Bool {
        let capitals = span.indices.filter { span[$0].isUppercase }
        guard capitals.count > 1, span.first?.isUppercase == true, span.allSatisfy(\.isLetter) else { return false }
        return capitals.allSatisfy { index in
            let next = span.index(after: index)
            return next < span.endIndex && span[next].isLowercase
        }
    }

    @Test func wordsThatTheGlossaryRulesOutAreNotUsed() throws {
        let rows = try #require(Self.glossary).tableRows(ofSection: "3")
        #expect(!rows.isEmpty)
        let words = rows.map { Array($0.cells[0].utf8) }
        report(
            Self.tree.files.filter { $0.isSwift && $0.path.hasPrefix("Sources/") }.flatMap { file in
                TidyTests.search(file, for: words, wholeWords: true, message: "the glossary has another word for")
            })
    }

    @Test func proseKeepsToTheColumns() {
        report(
            Self.documents.flatMap { document in
                document.prose.filter { $0.text.count > TidyTests.lineBytesMax && !$0.text.hasPrefix("|") }.map {
                    Violation(path: document.path, line: $0.number, message: "over \(TidyTests.lineBytesMax) columns")
                }
            })
    }

    // MARK: Helpers

    /// Comments of Swift files, and lines of C and of documents.
    private static let comments: [(path: String, line: Int, text: ArraySlice<UInt8>)] = {
        var found: [(String, Int, ArraySlice<UInt8>)] = []
        for file in tree.files where file.isSwift && !file.path.hasPrefix("Tests/TidyTests/") {
            for (index, line) in file.lines.enumerated() {
                let code = file.code[index]
                // Comments are blanks in the code, and slashes in the line.
                let start = line.indices.dropLast().first {
                    line[$0] == slash && line[$0 + 1] == slash && code[$0] != slash
                }
                if let start { found.append((file.path, index + 1, line[start...])) }
            }
        }
        for file in tree.files where [".h", ".c", ".cpp"].contains(where: { file.path.hasSuffix($0) }) {
            for (index, line) in file.lines.enumerated() { found.append((file.path, index + 1, line)) }
        }
        for document in documents {
            for (line, text) in document.prose { found.append((document.path, line, Array(text.utf8)[...])) }
        }
        return found
    }()

    private static let fileNames = Set(tree.files.compactMap { $0.path.split(separator: "/").last.map(String.init) })

    private static let slash = UInt8(ascii: "/")

    private static let wordsOfCode: Set<String> = {
        var words: Set<String> = []
        for line in tree.files.lazy.filter(\.isSwift).flatMap(\.code) {
            for word in line.split(whereSeparator: { !$0.isNamePart }) where word.first.map(isCapital) == true {
                words.insert(String(decoding: word, as: UTF8.self))
            }
        }
        return words
    }()

    private static func isCapital(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }

    private func isThere(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: Self.tree.root.appendingPathComponent(path).path)
    }

    private func exists(_ path: String, from document: Document) -> Bool {
        isThere(path) || isThere("\(document.folder)/\(path)") || !path.contains("/") && Self.fileNames.contains(path)
    }

    private func report(_ violations: [Violation], sourceLocation: SourceLocation = #_sourceLocation) {
        Violation.report(violations, sourceLocation: sourceLocation)
    }
}
