import Foundation
import Testing

/// One file of the repository, split into lines.
struct SourceFile {
    /// Relative to the top of the repository, with `/` between the parts.
    let path: String
    /// As it stands on disk, one element a line, without the line feeds.
    let lines: [ArraySlice<UInt8>]
    /// The same lines with comments and the contents of string literals blanked: what the compiler sees as code.
    /// Empty for files that are not Swift.
    let code: [ArraySlice<UInt8>]

    var isSwift: Bool { path.hasSuffix(".swift") }

    /// The first two parts of the path: `Sources/HashRing`, `Tests/TidyTests`, `Bench/LoadGenerator`.
    var target: String { path.split(separator: "/").prefix(2).joined(separator: "/") }

    init(path: String, bytes: [UInt8]) {
        self.path = path
        self.lines = Self.split(bytes[...])
        self.code = path.hasSuffix(".swift") ? Self.split(CodeText.blankingCommentsAndStrings(bytes)[...]) : []
    }

    private static func split(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines
    }
}

/// The repository that this test was built from.
struct SourceTree {
    let root: URL
    let topLevel: [String]
    let files: [SourceFile]

    /// Read once for all rules.
    static let current = SourceTree(above: #filePath)

    private init(above file: String) {
        let root = URL(fileURLWithPath: file).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        self.root = root
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root.path)) ?? []
        self.topLevel = names.sorted()
        var files: [SourceFile] = []
        for name in ["Bench", "Package.swift", "README.md", "Sources", "Tests", "deploy", ".ci", ".github"] {
            Self.collect(name, under: root, into: &files)
        }
        self.files = files
    }

    /// Text files only: anything with a zero byte, such as a golden file of a format, is left out.
    private static func collect(_ path: String, under root: URL, into files: inout [SourceFile]) {
        let full = root.appendingPathComponent(path).path
        var isDirectory: ObjCBool = false
        guard FileManager.default.fileExists(atPath: full, isDirectory: &isDirectory) else { return }
        guard isDirectory.boolValue else {
            guard let bytes = FileManager.default.contents(atPath: full).map([UInt8].init), !bytes.contains(0) else {
                return
            }
            files.append(SourceFile(path: path, bytes: bytes))
            return
        }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: full)) ?? []
        for name in names.sorted() where !name.hasPrefix(".") && name != "Corpus" {
            collect("\(path)/\(name)", under: root, into: &files)
        }
    }
}

/// A broken rule, in the form that editors jump to.
struct Violation: CustomStringConvertible {
    let path: String
    /// Counted from 1; 0 where the whole file or tree is meant.
    let line: Int
    let message: String

    var description: String { line > 0 ? "\(path):\(line): \(message)" : "\(path): \(message)" }

    /// Fails the test where there are any, and lists them.
    static func report(_ violations: [Violation], sourceLocation: SourceLocation = #_sourceLocation) {
        guard !violations.isEmpty else { return }
        let list = violations.map(\.description).joined(separator: "\n")
        Issue.record("\(violations.count) to put right:\n\(list)", sourceLocation: sourceLocation)
    }
}
