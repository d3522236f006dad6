import ArgumentParser
import Glibc
import KeysteadClient

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put the lines of an NDJSON file: each a JSON object, each an entity.",
        discussion: """
            The entity is KIND/ID, ID being the text of the member that --id-field names (a string, or a number as it \
            is written); its state is the line's own bytes, stored as application/json, so that export gives the same \
            lines back. Of several lines with one id the last wins. Blank lines are skipped. A line that is refused \
            is named and counted, the rest go in, and the exit is 1.

            How far it has come stands in FILE.keystead-import until the end, for --resume. Lines may be sent twice by \
            that, but carry idempotency keys, so they take effect once as long as the server remembers them (24 h).
            """)

    @Argument(help: "The kind of the entities.")
    var kind: String

    @Argument(help: "The file; - is standard input.")
    var file: String

    @Option(name: .long, help: ArgumentHelp("The member that holds the id.", valueName: "name"))
    var idField: String

    @Flag(name: .long, help: "Go on where an import of this file was interrupted.")
    var resume = false

    @OptionGroup var connection: Connection

    func validate() throws {
        guard !resume || file != "-" else {
            throw ValidationError("--resume needs a file: standard input cannot be read again")
        }
    }

    func run() async throws {
        var configuration = ClientConfiguration()
        configuration.connectionsMax = Importer.lanes
        let input = try InputFile(path: file)
        let progress = try await progress(of: input)
        let path = input.byteCount == nil || file == "-" ? nil : ImportProgress.path(for: file)
        try await connection.withClient(configuration) { client in
            var importer = Importer(
                client: client, file: input, idField: idField, progress: progress, progressPath: path)
            do {
                try await importer.run()
            } catch {
                hint(importer.progress, canResume: path != nil)
                throw error
            }
            try finish(importer, path)
        }
    }

    private func progress(of input: InputFile) async throws -> ImportProgress {
        let fresh = ImportProgress(kind: kind, idField: idField, run: UInt64.random(in: .min ... .max))
        guard resume else { return fresh }
        guard input.byteCount != nil else {
            throw CommandFailure(.usage, "--resume needs a file that can be read again; \(file) is none")
        }
        guard let earlier = try await ImportProgress.load(for: file) else {
            Console.current.say("no earlier import of \(file) to resume; beginning with line 1")
            return fresh
        }
        try earlier.check(input, input: file, kind: kind, idField: idField)
        try input.seek(to: earlier.mark.offset)
        Console.current.say("resuming after line \(Format.count(earlier.mark.line))")
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
