import ArgumentParser
import Testing

@testable import AdminTool
@testable import keystead

/// Commands and flags that documents show are those of the programs.
@Suite struct CommandTests {
    private static let programs: [String: any ParsableCommand.Type] = [
        "keystead": Keystead.self, "keysteadctl": KeysteadCtl.self,
    ]

    @Test(arguments: Handbook.withCommands)
    func everyCommandOfACodeBlockParses(path: String) throws {
        for line in try Handbook.codeLines(of: path) {
            for words in ShellLine.commands(of: line) {
                let words = words.drop { $0.contains("=") }
                guard let name = words.first?.split(separator: "/").last,
                    let program = Self.programs[String(name)]
                else { continue }
                do {
                    _ = try program.parseAsRoot(Array(words.dropFirst()))
                } catch  where program.exitCode(for: error).isSuccess {
                    // It asks for help.
                } catch {
                    Issue.record("\(path): \(line)\n\(program.message(for: error))")
                }
            }
        }
    }

    /// `keysteadctl rebalance plan` in running text names a command that is there.
    @Test(arguments: Handbook.withCommands)
    func everyNamedCommandIsThere(path: String) throws {
        for span in try Handbook.spans(of: path) {
            let words = span.split(separator: " ").map(String.init)
            guard var command = words.first.flatMap({ Self.programs[$0] }) else { continue }
            for word in words.dropFirst() {
                let subcommands = command.configuration.subcommands
                guard !subcommands.isEmpty, word.first?.isLowercase == true else { break }
                guard let next = subcommands.first(where: { $0._commandName == word }) else {
                    Issue.record("\(path): there is no `\(span)`")
                    break
                }
                command = next
            }
        }
    }

    @Test(arguments: Handbook.withCommands)
    func everyNamedFlagIsThere(path: String) throws {
        for span in try Handbook.spans(of: path) where span.hasPrefix("--") {
            let flag = String(span.prefix { $0 != " " && $0 != "=" })
            let isKnown = Self.flags.contains(flag)
            #expect(isKnown, "\(path): no program has \(flag)")
        }
    }

    @Test func everyVerbOfTheToolIsInTheContract() throws {
        let spans = try Handbook.spans(of: Handbook.contract)
        for verb in KeysteadCtl.configuration.subcommands.map({ $0._commandName }) {
            #expect(spans.contains { $0 == "keysteadctl \(verb)" || $0.hasPrefix("keysteadctl \(verb) ") }, "\(verb)")
        }
    }

    @Test func everyExitCodeIsInTheContract() throws {
        let rows = try Handbook.lines(of: Handbook.contract).filter { $0.hasPrefix("|") }.map(Handbook.cells)
        for code in (Int32(0)...255).compactMap(CommandExit.init) {
            #expect(rows.contains { $0.first == "\(code.rawValue)" }, "exit code \(code.rawValue)")
        }
    }

    @Test func aShellLineIsCutIntoCommands() {
        let line = #"A=1 ./keysteadctl put user/a --json '{"a b":1}' | cat > "x y" & # keysteadctl"#
        #expect(
            ShellLine.commands(of: line)
                == [["A=1", "./keysteadctl", "put", "user/a", "--json", #"{"a b":1}"#], ["cat"], ["x y"]])
    }

    /// Of every command, from its help.
    private static let flags: Set<String> = {
        var found: Set<String> = []
        var commands = Array(programs.values)
        while let command = commands.popLast() {
            commands += command.configuration.subcommands
            let help = command.helpMessage(includeHidden: true)
            for word in help.split(whereSeparator: { " \n,/()[]`".contains($0) }) where word.hasPrefix("--") {
                found.insert(String(word))
            }
        }
        return found
    }()
}
