import ArgumentParser
import KeysteadClient

struct Put: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Replace the whole state of an entity; print its new tag.",
        discussion: """
            The state is the bytes of FILE (or of standard input, -), stored as application/octet-stream unless \
            --content-type says otherwise, or the JSON text of --json, stored as application/json.
            """)

    @Argument(help: "KIND/ID")
    var key: KeyArgument

    @Argument(help: "The file that holds the state; - is standard input.")
    var file: String?

    @Option(name: .long, parsing: .unconditional, help: ArgumentHelp("The state as JSON text.", valueName: "text"))
    var json: String?

    @Option(name: .long, help: ArgumentHelp("The media type, stored and given back.", valueName: "t"))
    var contentType: String?

    @Flag(name: .long, help: "Only if the entity does not exist.")
    var ifAbsent = false

    @Option(name: .long, help: ArgumentHelp("Seconds until the entity reads as absent.", valueName: "s"))
    var ttl: UInt64?

    @OptionGroup var write: WriteArguments
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func validate() throws {
        guard (file == nil) != (json == nil) else {
            throw ValidationError("give the state once: FILE, - for standard input, or --json TEXT")
        }
        guard !ifAbsent || write.ifMatch == nil else {
            throw ValidationError("--if-absent and --if-match exclude each other")
        }
        if let json, JSONText(Array(json.utf8)) == nil { throw ValidationError("--json: this is no JSON text") }
    }

    func run() async throws {
        let state = try await state()
        try await connection.withWrite(of: key.key, write) { client in
            let receipt = try await client.put(
                key.key, state, contentType: contentType ?? (json == nil ? nil : "application/json"),
                ttlSeconds: ttl, options: write.options(ifAbsent: ifAbsent))
            try show(receipt, of: key.key, as: output.output)
        }
    }

    private func state() async throws -> [UInt8] {
        if let json { return Array(json.utf8) }
        return try await InputFile.contents(of: file ?? "-", bytesMax: stateBytesMax)
    }
}

/// No server takes more than 16 MiB; it says what its own limit is.
private let stateBytesMax = 17 << 20
