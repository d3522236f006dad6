import ArgumentParser
import KeysteadClient

struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the states of a kind as NDJSON that import takes back byte for byte.",
        discussion: """
            One line an entity, the state's own bytes, in the order of the ring (sort to compare two exports). An \
            entity whose state is no JSON object on one line cannot stand in NDJSON: it is named, counted and left \
            out, and the exit is 1. Content types and expiry times are not exported. With --to, FILE appears whole, \
            when everything has been written, or not at all.
            """)

    @Argument(help: "The kind.")
    var kind: String

    @Option(name: .long, help: ArgumentHelp("Write to this file instead of standard output.", valueName: "file"))
    var to: String?

    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let console = Console.current
            let file = try to.flatMap { $0 == "-" ? nil : try AtomicFile($0) }
            var exporter = Exporter(client: client, kind: kind) { lines in
                if let file { try file.write(lines) } else { try console.write(lines) }
            }
            try await exporter.run()
            try file?.finish()
            let leftOut = exporter.leftOut > 0 ? ", \(Format.count(exporter.leftOut)) left out" : ""
            console.say(
                "\(Format.count(exporter.written)) entities exported\(leftOut) (\(Format.time(exporter.bar.elapsed)))")
            if exporter.leftOut > 0 { throw CommandFailure(.failed, nil) }
        }
    }
}
