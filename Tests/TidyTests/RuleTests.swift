import Testing

/// The rules themselves: each must see what it is there for, and nothing else.
@Suite struct RuleTests {
    private func file(_ text: String) -> SourceFile {
        SourceFile(path: "Sources/Entities/Sample.swift", bytes: Array(text.utf8))
    }

    @Test func commentsAndStringsAreNotCode() {
        let text = ##"""
            let a = "print(1)" // print(2)
            /* print(3) /* nested */ print(4) */ let b = "\(print(5))"
            let c = #"print(6) \(print(7)) \#(print(8))"#
            """##
        let code = file(text).code.map { String(decoding: $0, as: UTF8.self) }
        #expect(code[0].hasPrefix("let a = \"") && !code[0].contains("print"))
        #expect(!code[1].contains("print(4)") && code[1].contains("print(5)"))
        #expect(!code[2].contains("print(6)") && !code[2].contains("print(7)") && code[2].contains("print(8)"))
    }

    @Test(arguments: [
        ("print(x)", true), ("fingerprint(x)", false), ("sheet.print(x)", false), ("  print(x)", true),
        ("// print(x)", false), (#"log("print(x)")"#, false),
    ])
    func printIsFoundAsAWord(line: String, found: Bool) throws {
        let rule = try #require(BannedCall.all.first { $0.text == "print(" })
        #expect(rule.violations(in: file(line)).isEmpty == !found)
    }

    @Test(arguments: [("Int.random(in: 0..<4)", true), ("Int.random(in: 0..<4, using: &generator)", false)])
    func randomnessNeedsAGenerator(line: String, found: Bool) throws {
        let rule = try #require(BannedCall.all.first { $0.text == ".random(" })
        #expect(rule.violations(in: file(line)).isEmpty == !found)
    }

    @Test(arguments: [
        ("Entities", "Primitives", true), ("Entities", "ShardCore", false), ("Primitives", "Foundation", false),
        ("ShardCore", "DequeModule", true), ("HTTPFront", "NIOPosix", true), ("Simulator", "LogFiles", false),
        ("Simulator", "ShardCore", true), ("Simulator", "Glibc", false), ("Entities", "HashRing", false),
        ("Entities", "JSON", true), ("JSON", "Entities", false), ("LogFormat", "JSON", false),
        ("NodeRuntime", "HTTPFront", true), ("NodeRuntime", "Unheard", false),
    ])
    func importsAreJudgedByFloor(module: String, imported: String, allowed: Bool) {
        #expect((Floors.objection(to: imported, in: module) == nil) == allowed)
    }

    @Test func importsAreRead() {
        let text =
            "public import Entities\nimport struct NIOCore.ByteBuffer\n@preconcurrency private import Glibc\n"
        #expect(ImportStatement.all(in: file(text)).map(\.module) == ["Entities", "NIOCore", "Glibc"])
    }

    @Test(arguments: [(70, false), (71, true)])
    func aFunctionIsCountedFromItsNameToItsBrace(lines: Int, found: Bool) {
        let body = Array(repeating: "    let x = { 1 }", count: lines - 2).joined(separator: "\n")
        let text = "protocol P { func requirement() -> Int\n func other() }\nfunc long(_: Int) {\n\(body)\n}\n"
        #expect(FunctionLength.violations(in: file(text)).isEmpty == !found)
    }

    @Test(arguments: [
        ("// SAFETY: confined to one loop\nfinal class A: @unchecked Sendable {}", false),
        ("final class A: @unchecked Sendable {}", true),
        ("// SAFETY: too far\n\n\n\nlet a = unsafeBitCast(b, to: Int.self)", true),
        ("// an @unchecked Sendable in a comment", false),
    ])
    func uncheckedConstructsNeedAnArgument(text: String, found: Bool) {
        #expect(Unchecked.violations(in: file(text)).isEmpty == !found)
    }

    @Test(arguments: [
        ("ends the process (rule W4).", ["W4"]), ("W1, W2: a copy is kept", ["W1", "W2"]), ("G6", ["G6"]),
        ("R13b and xG1 and G123 and I_2", []),
    ])
    func rulesAreFoundByTheirNumbers(text: String, rules: [String]) {
        #expect(Citation.rules(in: Array(text.utf8)[...]) == rules)
    }

    @Test func sectionsBelongToTheWordBeforeThem() {
        let found = Citation.sections(in: "/// (Contract §1.9; RFC 9110 §13.1.3, §13.1.4). See Architecture §4, too")
        #expect(found.map(\.article) == ["Contract", "9110", "9110", "Architecture"])
        #expect(found.map(\.section) == ["1.9", "13.1.3", "13.1.4", "4"])
        #expect(Citation.isForeign("9110") && !Citation.isForeign("Contract") && !Citation.isForeign(""))
    }

    @Test func aDocumentIsProseAndCode() {
        let text = """
            # Title

            - A [link](../a.md), `Sources/x.swift` and [the web](https://a.example).

                indented `code`

            ## 1. Words

            | word | say |
            | --- | --- |
            | a | b |

            ```
            fenced
            ```
            - **G1 One home.** An entity.
            """
        let document = Document(SourceFile(path: "Sources/A/A.docc/A.md", bytes: Array(text.utf8)))
        #expect(document.lines.filter(\.isCode).map(\.number) == [5, 13, 14, 15])
        #expect(document.name == "A" && document.folder == "Sources/A/A.docc")
        #expect(document.sections == ["1"] && document.rules == ["G1"])
        #expect(document.tableRows(ofSection: "1").map(\.cells) == [["a", "b"]])
        #expect(document.prose.flatMap { Document.relativeLinks(of: $0.text) } == ["../a.md"])
        #expect(document.prose.flatMap { Document.spans(of: $0.text) } == ["Sources/x.swift"])
    }
}
