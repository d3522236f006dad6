import ArgumentParser
import KeysteadClient

struct Where: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say where an entity lives, or would live: its shard and the node that owns it.")

    @Argument(help: "KIND/ID")
    var key: KeyArgument

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let place = try await client.location(of: key.key)
            switch output.output {
            case .json: try Console.current.write(json: place.text.bytes)
            case .table:
                let row = [String(place.shard), place.node, String(place.epoch)]
                try Console.current.write(text: Format.table(["SHARD", "NODE", "EPOCH"], [row]))
            }
        }
    }
}
