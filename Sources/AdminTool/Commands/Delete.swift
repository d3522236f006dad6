import ArgumentParser
import KeysteadClient

struct Delete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete an entity; print the deletion's tag. An absent one is exit 8.")

    @Argument(help: "KIND/ID")
    var key: KeyArgument

    @OptionGroup var write: WriteArguments
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withWrite(of: key.key, write) { client in
            let receipt = try await client.delete(key.key, options: write.options())
            try show(receipt, of: key.key, as: output.output)
        }
    }
}
