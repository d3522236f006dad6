import ArgumentParser
import Glibc
import KeysteadClient

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put the lines of an NDJSON file, each an entity.",
        discussion: """
            Full lines, which export writes, hold an entity each: its key, which must be of KIND, its content type, \
            its time to live and its state as json, text or base64. They are found by themselves where the first line \
            is one. States, as other programs write them, are JSON objects: the entity is KIND/ID, ID being the text \
            of the member that --id-field names (a string, or a number as it is written), and its state is the line's \
            own bytes, stored as application/json.

            UTF-8, with a byte order mark or without; lines end with LF or CRLF. Of several lines with one key the \
            last wins. Blank lines are skipped. A line that is refused is named and counted, the rest go in, and the \
            exit is 1.

            How far it has come stands in FILE.keystead-import until the end, for --resume, which goes on with the \
            unchanged file in the same cluster only. Lines may be sent twice by that, but carry idempotency keys, so \
            they take effect once as long as the server remembers them (24 h).
            """)

    @Argument(help: "The kind of the entities.")
    var kind: String

    @Argument(help: "The file; - is standard input.")
    var file: String

    @Option(name: .long, help: ArgumentHelp("The member that holds the id, where lines are states.", valueName: "name"))
    var idField: String?

    @Option(name: .long, help: "What the lines are, where the first of them does not tell.")
    var format: LineFormatName?

    @Flag(name: .long, help: "Go on where an import of this file was interrupted.")
    var resume = false

    @OptionGroup var connection: Connection

    func validate() throws {
        guard !resume || file != "-" else {
            throw ValidationError("--resume needs a file: standard input cannot be read again")
        }
        guard format != .states || idField != nil else {
            throw ValidationError("--format states needs --id-field NAME, the member that holds the id")
        }
        guard format != .full || idField == nil else {
            throw ValidationError("--id-field is for states: full lines hold their keys")
        }
    }

    func run() async throws {
        var configuration = ClientConfiguration()
        configuration.connectionsMax = Importer.lanes
        // Chunks are large, and a bar shows that it goes on.
        configuration.waitNoticeAfter = .seconds(4)
        let input = try InputFile(path: file)
        let choice = ImportChoice(input: file, named: format, idField: idField)
        let earlier = try await earlier(input, choice)
        let path = input.byteCount == nil || file == "-" ? nil : ImportProgress.path(for: file)
        try await connection.withClient(configuration, data: .ofLargeAnswers) { client in
            let cluster = try await client.clusterID()
            if let earlier {
                try earlier.check(cluster: cluster, input: file)
                Console.current.say("resuming after line \(Format.count(earlier.mark.line))")
            }
            var importer = Importer(
                client: client, file: input, choice: choice, progress: earlier ?? fresh(input, choice, cluster),
                progressPath: path)
            do {
                try await importer.run()
            } catch {
                if importer.progress.mark.line > 0 { hint(importer.progress, canResume: path != nil) }
                throw error
            }
            if idField != nil, importer.progress.origin.format == .full {
                Console.current.say("\(file) holds full lines, which hold their keys: --id-field was not used")
            }
            try finish(importer, path)
        }
    }

    private func fresh(_ input: InputFile, _ choice: ImportChoice, _ cluster: String?) -> ImportProgress {
        let origin = ImportProgress.Origin(
            kind: kind, format: choice.format, cluster: cluster, byteCount: input.byteCount ?? 0,
            modified: input.modified)
        return ImportProgress(origin, run: UInt64.random(in: .min ... .max))
    }

    /// What an interrupted import left, where it is to go on; `nil` where this one begins.
    private func earlier(_ input: InputFile, _ choice: ImportChoice) async throws -> ImportProgress? {
        guard resume else { return nil }
        guard input.byteCount != nil else {
            throw CommandFailure(.usage, "--resume needs a file that can be read again; \(file) is none")
        }
        guard let earlier = try await ImportProgress.load(for: file) else {
            Console.current.say("no earlier import of \(file) to resume; beginning with line 1")
            return nil
        }
        try earlier.check(input, kind: kind, choice)
        try input.seek(to: earlier.mark.offset)
        return earlier
    }

    private func hint(_ progress: ImportProgress, canResume: Bool) {
        let lines = Format.count(progress.mark.line)
        Console.current.say(
            canResume
                ? "stopped; all lines up to \(lines) are in. The same command with --resume goes on"
                : "stopped; all lines up to \(lines) are in")
    }

    private func finish(_ importer: Importer, _ path: String?) throws {
        if let path { unlink(path) }
        let progress = importer.progress
        let rate = Format.count(Format.rate(importer.writtenInRun, in: importer.elapsed))
        Console.current.say(
            "\(Format.count(progress.written)) lines imported, \(Format.count(progress.refused)) refused"
                + " (\(Format.time(importer.elapsed)), \(rate)/s)")
        if progress.refused > 0 { throw CommandFailure(.failed, nil) }
    }
}
