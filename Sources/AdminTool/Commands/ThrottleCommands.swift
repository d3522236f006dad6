import ArgumentParser
import KeysteadClient

struct ThrottleCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "throttle", abstract: "How much moves may copy in a second.",
        discussion: "It is what operations are made with: one that runs keeps the limit that it was made with.",
        subcommands: [ThrottleShow.self, ThrottleSet.self])
}

struct ThrottleShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "show", abstract: "Show the limit.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in try show(try await client.throttle(), as: output.output) }
    }
}

struct ThrottleSet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "set", abstract: "Set the limit.")

    @Argument(help: "Bytes a second: 1048576, 10MiB, 1.5GiB, 50MB; 0 or unlimited for no limit.")
    var rate: ByteRate

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withAdmin { client in
            _ = try await client.setThrottle(bytesPerSecond: rate.bytesPerSecond)
            let found = try await client.throttle()
            try show(found, as: output.output)
            guard found == rate.bytesPerSecond else {
                throw CommandFailure(.conflict, "it was set, but is \(throttleText(found)): somebody set it since")
            }
        }
    }
}

private func throttleText(_ bytesPerSecond: UInt64) -> String {
    bytesPerSecond == 0 ? "unlimited" : OperationText.rate(bytesPerSecond)
}

private func show(_ bytesPerSecond: UInt64, as format: OutputFormat) throws {
    switch format {
    case .table: try Console.current.write(line: throttleText(bytesPerSecond))
    case .json:
        var object = JSONObject()
        object.add("bytes-per-second", bytesPerSecond)
        try Console.current.write(json: object.bytes)
    }
}

/// `10MiB` on a command line.
struct ByteRate: ExpressibleByArgument, Equatable {
    let bytesPerSecond: UInt64

    private static let units: [(String, Double)] = [
        ("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776),
        ("kB", 1000), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1),
    ]

    init?(argument: String) {
        let text = argument.hasSuffix("/s") ? String(argument.dropLast(2)) : argument
        if let bytes = text == "unlimited" ? 0 : UInt64(text) {
            bytesPerSecond = bytes
            return
        }
        guard let (unit, factor) = Self.units.first(where: { text.hasSuffix($0.0) }) else { return nil }
        let number = text.dropLast(unit.count)
        guard number.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }),
            let value = Double(number), value * factor < 9e18
        else { return nil }
        // Less than a byte a second would come out as 0, which is no limit at all.
        guard value == 0 || value * factor >= 1 else { return nil }
        bytesPerSecond = UInt64(value * factor)
    }
}
