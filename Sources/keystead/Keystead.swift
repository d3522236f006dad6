import ArgumentParser
import NodeRuntime

/// The server's command line.
@main
struct Keystead: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keystead",
        abstract: "Runs Keystead nodes: a partitioned store of entities, each with one key and one queue.",
        subcommands: [Serve.self, Dev.self, WAL.self])

    /// Usage errors end with 2 (API §3), not with the library's 64.
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
            if code == .validationFailure { Exit.usage(fullMessage(for: error)) }
            exit(withError: error)
        }
    }
}
