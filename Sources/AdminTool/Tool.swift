import ArgumentParser
import KeysteadClient

/// The command line tool as a function: arguments in, an exit status out.
public enum Tool {
    /// Runs one command. Everything it prints goes to `console`.
    ///
    /// - Parameter arguments: without the program's own name.
    public static func run(_ arguments: [String], console: Console = .standard) async -> CommandExit {
        await Console.$current.withValue(console) {
            do {
                var command = try parse(arguments)
                if var asynchronous = command as? any AsyncParsableCommand {
                    try await asynchronous.run()
                } else {
                    try command.run()
                }
                return .done
            } catch {
                return report(error, console)
            }
        }
    }

    /// What the parser says of bad arguments repeats them: it is given them as they can be shown.
    private static func parse(_ arguments: [String]) throws -> any ParsableCommand {
        do {
            return try KeysteadCtl.parseAsRoot(arguments)
        } catch {
            let shown = arguments.map(Format.printable)
            guard shown != arguments else { throw error }
            _ = try KeysteadCtl.parseAsRoot(shown)
            throw CommandFailure(.usage, KeysteadCtl.message(for: error))
        }
    }

    private static func report(_ error: any Error, _ console: Console) -> CommandExit {
        switch error {
        case let failure as CommandFailure:
            if let message = failure.message { console.say(message) }
            return failure.status
        case let error as KeysteadError:
            return report(CommandFailure(error), console)
        case let error as SystemError:
            // Whoever read our output has seen enough of it: not worth a message.
            if !error.isClosedPipe { console.say("\(error)") }
            return .failed
        case is CancellationError:
            console.say("interrupted")
            return .interrupted
        default:
            return reportParsing(error, console)
        }
    }

    /// Help goes to standard output; every other message of the parser is a usage error.
    private static func reportParsing(_ error: any Error, _ console: Console) -> CommandExit {
        let message = KeysteadCtl.fullMessage(for: error)
        guard KeysteadCtl.exitCode(for: error).isSuccess else {
            console.say(usage: message)
            return .usage
        }
        do {
            try console.write(text: message + "\n")
            return .done
        } catch {
            return .failed
        }
    }
}

struct KeysteadCtl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keysteadctl", abstract: "The client and the admin tool of a Keystead cluster.",
        discussion: """
            KEY is KIND/ID. Data goes to standard output, messages and bars to standard error.

            Exit codes: 0 done and verified, or nothing to do; 1 failed; 2 usage; 3 refused; 4 precondition failed, \
            stale plan or concurrent change; 5 timed out: outcome unknown, or the operation goes on; 6 status --check \
            found it not healthy; 7 unreachable; 8 not found; 130 interrupted (an operation goes on).
            """,
        subcommands: [
            Put.self, Get.self, Delete.self, PatchEntity.self, List.self, Import.self, Export.self, Where.self,
            Bench.self, Status.self, RingPicture.self, Explain.self, RebalanceCommands.self, NodeCommands.self,
            ShardCommands.self, OperationCommands.self, ThrottleCommands.self,
        ])
}
