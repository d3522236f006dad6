import ArgumentParser
import NodeRuntime
import Primitives

/// The server's command line.
@main
struct Keystead: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keystead",
        abstract: "Runs Keystead nodes: a partitioned store of entities, each with one key and one queue.",
        subcommands: [Serve.self, Dev.self, WAL.self])

    /// Usage errors end with 2 (Contract §3.2), not with the library's 64.
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        ProcessStart.hideSecretArguments()
        do {
            var command = try parseAsRoot(arguments)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            let code = exitCode(for: error)
            if code == .validationFailure { Exit.usage(fullMessage(for: printable(error))) }
            exit(withError: error)
        }
    }

    /// What the parser says of bad arguments repeats them: it is given them as they can be shown.
    private static func printable(_ error: any Error) -> any Error {
        let arguments = CommandLine.arguments.dropFirst()
        let shown = arguments.map { VisibleText.escaped($0) }
        guard shown != Array(arguments) else { return error }
        do {
            _ = try parseAsRoot(shown)
            return ValidationError("these arguments hold characters that cannot be shown")
        } catch {
            return error
        }
    }
}
