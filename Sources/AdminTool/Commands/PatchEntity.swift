import ArgumentParser
import KeysteadClient

struct PatchEntity: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "patch", abstract: "Change the JSON state of an entity atomically; print its new tag.",
        discussion: """
            merge is RFC 7396, json-patch RFC 6902. update is Keystead's own: \
            {"if":[COND…],"do":[OP…],"else-create":V}, all or nothing.
            """)

    @Argument(help: "KIND/ID")
    var key: KeyArgument

    @Argument(help: "The patch document; - is standard input.")
    var text: String

    @Option(name: .long, help: "The kind of document.")
    var type = Choice(Patch.Kind.merge)

    @OptionGroup var write: WriteArguments
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        let document =
            text == "-"
            ? try await InputFile.contents(of: "-", bytesMax: documentBytesMax) : Array(text.utf8)
        try await connection.withWrite(of: key.key, write) { client in
            let receipt = try await client.patch(key.key, Patch(type.value, document), options: write.options())
            try show(receipt, of: key.key, as: output.output)
        }
    }
}

/// Beyond any server's limit.
private let documentBytesMax = 17 << 20
