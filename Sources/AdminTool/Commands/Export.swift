import ArgumentParser
import KeysteadClient

struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the entities of a kind as NDJSON that import takes back byte for byte.",
        discussion: """
            One line an entity, in the order of the ring (sort to compare two exports). A full line is \
            {"key","content-type","ttl"?,"json"|"text"|"base64"}, ttl being the seconds left; it carries whatever the \
            state is. --format states writes the states alone. An entity whose state is no JSON object on one line \
            cannot stand so: it is named, counted and left out, and the exit is 1.

            Without --format it is states where they carry everything: where each is a JSON object on one line that \
            holds its id, stored as application/json without an expiry. Else it is full lines.

            With --to, FILE appears whole, when everything has been written, or stays as it was. Nothing does not \
            replace a file that is there, unless --allow-empty is given: that is exit 8. On a terminal what would \
            drive it is shown as escapes.
            """)

    @Argument(help: "The kind.")
    var kind: String

    @Option(name: .long, help: ArgumentHelp("Write to this file instead of standard output.", valueName: "file"))
    var to: String?

    @Option(name: .long, help: "What the lines are, whatever the states are.")
    var format: LineFormatName?

    @Flag(name: .long, help: "Let an export of nothing replace a file.")
    var allowEmpty = false

    @OptionGroup var connection: Connection

    func run() async throws {
        var configuration = ClientConfiguration()
        // A page holds megabytes, which a node that is busy may take its time for.
        configuration.attemptDeadline = configuration.deadline
        try await connection.withClient(configuration, data: .ofLargeAnswers) { client in
            let file = try to.flatMap { $0 == "-" ? nil : try AtomicFile($0) }
            let done = try await ExportRun(client: client, kind: kind, format: format, file: file).run()
            if done.written == 0, let file, file.replaces, !allowEmpty {
                throw CommandFailure(
                    .notFound,
                    "there is nothing of kind '\(kind)' to export; \(to ?? "") stays as it was "
                        + "(--allow-empty empties it)")
            }
            try file?.finish()
            Console.current.say(summary(done))
            if done.leftOut > 0 {
                throw CommandFailure(.failed, "--format full takes every entity, whatever its state is")
            }
        }
    }

    private func summary(_ done: Exporter) -> String {
        let leftOut = done.leftOut > 0 ? ", \(Format.count(done.leftOut)) left out" : ""
        let back = done.form.idField.map { "; import takes them with --id-field \(Advice.quoted($0))" } ?? ""
        return "\(Format.count(done.written)) entities exported\(leftOut) (\(Format.time(done.bar.elapsed)))\(back)"
    }
}
