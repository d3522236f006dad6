import ArgumentParser
import KeysteadClient

struct List: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the entities of a kind, in the order of the ring.",
        discussion: "With --output json, one JSON object a line.")

    @Argument(help: "The kind.")
    var kind: String

    @Option(name: .long, help: ArgumentHelp("Only ids that begin with it.", valueName: "p"))
    var prefix = ""

    @Option(name: .long, help: ArgumentHelp("At most so many; without it, all.", valueName: "n"))
    var limit: UInt64?

    @Flag(name: .long, help: "Show the states too.")
    var values = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient(data: .ofLargeAnswers) { client in
            var left = limit ?? .max
            var missing: Set<UInt32> = []
            var isFirst = true
            var options = ListOptions(prefix: prefix, values: values)
            while left > 0 {
                options.pageItemsMax = Int(min(left, pageItemsMax))
                let page = try await client.page(of: kind, options)
                missing.formUnion(page.harvest.missing)
                let items = page.items.prefix(Int(clamping: left))
                try show(items, isFirst: isFirst)
                if !items.isEmpty { isFirst = false }
                left -= UInt64(items.count)
                guard let cursor = page.cursor else { break }
                options.cursor = cursor
            }
            guard missing.isEmpty else {
                let shards = missing.sorted().map(String.init).joined(separator: ", ")
                throw CommandFailure(.failed, "the list is incomplete: shards \(shards) did not answer")
            }
        }
    }

    private func show(_ items: some Collection<ListedEntity>, isFirst: Bool) throws {
        switch output.output {
        case .json:
            for item in items { try Console.current.write(json: item.text.bytes) }
        case .table:
            guard !items.isEmpty else { return }
            let table = Format.table(
                ["KEY", "ETAG", "BYTES", "CONTENT-TYPE", "UPDATED"] + (values ? ["VALUE"] : []), items.map(row))
            try Console.current.write(text: isFirst ? table : withoutHeadings(table))
        }
    }

    private func row(_ item: ListedEntity) -> [String] {
        var cells = [
            item.key.description, item.etag.description, String(item.byteCount), item.contentType, item.updated,
        ]
        if values {
            let state = item.state ?? []
            cells.append(isUTF8(state[...]) ? String(decoding: state, as: UTF8.self) : "(\(state.count) bytes, binary)")
        }
        return cells
    }

    private func withoutHeadings(_ table: String) -> String {
        let end = table.utf8.firstIndex(of: 0x0A) ?? table.utf8.endIndex
        return String(table[end...].dropFirst())
    }
}

/// The most that one request may ask for.
private let pageItemsMax: UInt64 = 1000
