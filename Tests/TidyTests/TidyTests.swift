import Foundation
import Testing

/// The rules of the house that a machine can check, so that people who read a change can look at its design.
/// Each test lists every violation as `file:line: message`.
@Suite struct TidyTests {
    static let tree = SourceTree.current
    static let swiftFiles = tree.files.filter(\.isSwift)
    static let lineBytesMax = 120
    static let fileLinesMax = 600
    /// State machines that are longer. Each is one file, because its state is private: a rule between two of its parts
    /// is then read in one place, and no other file can break it.
    static let longMachines: Set<String> = [
        "Sources/LogCore/LogMachine.swift", "Sources/LogCore/LogRecovery.swift",
        "Sources/ShardCore/Move/MoveTarget.swift", "Sources/ShardCore/ShardMachine.swift",
    ]
    static let machineLinesMax = 1_000

    @Test func aFloorImportsOnlyWhatLiesBelowIt() {
        expectNone { file in
            guard let module = Self.module(of: file) else { return [] }
            return ImportStatement.all(in: file).compactMap { statement in
                Floors.objection(to: statement.module, in: module).map {
                    Violation(path: file.path, line: statement.line, message: $0)
                }
            }
        }
    }

    /// HTTP is one front among others: a node meets it where it opens its listeners and answers its operators.
    static let meetsHTTP = [
        "Sources/NodeRuntime/RunningNode.swift", "Sources/NodeRuntime/Configuration/DoorSettings.swift",
        "Sources/NodeRuntime/Admin/",
    ]

    @Test func aNodeKnowsHTTPAtItsListenersOnly() {
        expectNone { file in
            guard Self.module(of: file) == "NodeRuntime", !Self.meetsHTTP.contains(where: file.path.hasPrefix) else {
                return []
            }
            return ImportStatement.all(in: file).filter { $0.module == "HTTPFront" }.map {
                Violation(path: file.path, line: $0.line, message: "speak of requests and answers in types of Serving")
            }
        }
    }

    @Test func bannedCallsStayOut() {
        expectNone { file in
            guard let module = Self.module(of: file), let floor = Floors.byModule[module] else { return [] }
            let effective = module == "Simulator" ? Floors.core.upperBound : floor
            return BannedCall.all.filter { $0.floors.contains(effective) }.flatMap { $0.violations(in: file) }
        }
    }

    @Test func whatTheCompilerDoesNotCheckIsArgued() {
        expectNone { Unchecked.violations(in: $0) }
    }

    @Test func functionsAreShort() {
        expectNone { FunctionLength.violations(in: $0) }
    }

    @Test func filesAreShort() {
        expectNone { file in
            let linesMax = Self.longMachines.contains(file.path) ? Self.machineLinesMax : Self.fileLinesMax
            guard file.lines.count > linesMax else { return [] }
            return [Violation(path: file.path, line: 0, message: "\(file.lines.count) lines; \(linesMax) at most")]
        }
    }

    @Test func onlyWhatIsLongIsCalledLong() {
        let long = Self.swiftFiles.filter { $0.lines.count > Self.fileLinesMax }.map(\.path)
        #expect(Self.longMachines.subtracting(long).isEmpty)
    }

    @Test func linesAreShortAndClean() {
        expectNone { file in
            var found: [Violation] = []
            for (index, line) in file.lines.enumerated() {
                if line.count > Self.lineBytesMax, String(decoding: line, as: UTF8.self).count > Self.lineBytesMax {
                    found.append(
                        Violation(path: file.path, line: index + 1, message: "over \(Self.lineBytesMax) columns"))
                }
                if line.last == UInt8(ascii: " ") || line.contains(UInt8(ascii: "\t")) {
                    found.append(Violation(path: file.path, line: index + 1, message: "a tab, or a blank at the end"))
                }
            }
            return found
        }
    }

    /// Put together from pieces, so that this file does not break its own rule.
    static let leftoverMarkers = [
        "TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK", "not " + "implemented", "not yet " + "implemented",
        "un" + "implemented", "place" + "holder", "for " + "now",
    ].map { Array($0.lowercased().utf8) }

    @Test func nothingIsLeftForLater() {
        expectNone(in: Self.tree.files) { file in
            Self.search(file, for: Self.leftoverMarkers, wholeWords: true, message: "a leftover marker")
        }
    }

    static let machinePaths = ["/" + "work/", "/" + "farm/", "/" + "root/", "/" + "home/", "/" + "opt/swift"]
        .map { Array($0.utf8) }

    @Test func noFileNamesAPathOfOneMachine() {
        expectNone(in: Self.tree.files) { file in
            Self.search(file, for: Self.machinePaths, wholeWords: false, message: "a path of one machine")
        }
    }

    static let topLevelEntries: Set<String> = ["Package.swift", "Sources", "Tests", "Bench", "deploy", "README.md"]

    @Test func theTopLevelHoldsNothingElse() {
        // The lock file of the package manager is its own and is not kept.
        let strays = Self.tree.topLevel.filter {
            !$0.hasPrefix(".") && !Self.topLevelEntries.contains($0) && $0 != "Package.resolved"
        }
        report(strays.map { Violation(path: $0, line: 0, message: "not one of the agreed entries of the top level") })
    }

    /// Executables and C modules are reached by what runs or imports them.
    static let reachedByOthers: Set<String> = [
        "keystead", "keysteadctl", "keystead-simulate", "CPosixShims", "CRocksDB", "CLZ4", "CStoreShims",
    ]

    @Test func everyTargetIsReachedByATest() {
        let tests = Self.swiftFiles.filter { $0.path.hasPrefix("Tests/") }
        let imported = Set(tests.flatMap { ImportStatement.all(in: $0).map(\.module) })
        let modules = Set(Self.swiftFiles.compactMap(Self.module(of:))).sorted()
        let untested = modules.filter { !imported.contains($0) && !Self.reachedByOthers.contains($0) }
        report(untested.map { Violation(path: "Sources/\($0)", line: 0, message: "no test imports this module") })
    }

    @Test func theTreeWasRead() {
        #expect(Self.swiftFiles.contains { $0.path == "Sources/Primitives/Limits.swift" })
        #expect(Self.swiftFiles.contains { $0.path == "Package.swift" })
    }

    // MARK: Helpers

    /// The module whose production code `file` is, or `nil` for tests, scripts and the manifest.
    private static func module(of file: SourceFile) -> String? {
        guard file.isSwift, file.path.hasPrefix("Sources/") || file.path.hasPrefix("Bench/LoadGenerator/") else {
            return nil
        }
        return String(file.target.split(separator: "/")[1])
    }

    static func search(
        _ file: SourceFile, for words: [[UInt8]], wholeWords: Bool, message: String
    ) -> [Violation] {
        var found: [Violation] = []
        for (index, line) in file.lines.enumerated() {
            let text = wholeWords ? Self.lowercased(line) : line
            for word in words {
                guard let at = text.firstName(word, member: true) else { continue }
                let end = at + word.count
                if wholeWords, end < text.endIndex, text[end].isNamePart { continue }
                let shown = String(decoding: word, as: UTF8.self)
                found.append(Violation(path: file.path, line: index + 1, message: "\(message): \(shown)"))
            }
        }
        return found
    }

    private static func lowercased(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        ArraySlice(line.map { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") ? $0 | 0x20 : $0 })
    }

    private func expectNone(
        in files: [SourceFile] = swiftFiles, sourceLocation: SourceLocation = #_sourceLocation,
        _ rule: (SourceFile) -> [Violation]
    ) {
        report(files.flatMap(rule), sourceLocation: sourceLocation)
    }

    private func report(_ violations: [Violation], sourceLocation: SourceLocation = #_sourceLocation) {
        Violation.report(violations, sourceLocation: sourceLocation)
    }
}
