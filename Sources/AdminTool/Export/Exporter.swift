import KeysteadClient

/// Writes the states of a kind as lines that ``Importer`` takes back byte for byte.
struct Exporter {
    /// How long to wait for a server that was there and is gone.
    private static let patience = Duration.seconds(60)
    private static let retryInterval = Duration.seconds(1)
    private static let pageItems = 1000

    let client: Keystead
    let kind: String
    let output: (ArraySlice<UInt8>) throws -> Void

    private(set) var written: UInt64 = 0
    /// Entities whose state is no single-line JSON object.
    private(set) var leftOut: UInt64 = 0
    private(set) var bar = ProgressBar(console: Console.current)

    init(client: Keystead, kind: String, output: @escaping (ArraySlice<UInt8>) throws -> Void) {
        self.client = client
        self.kind = kind
        self.output = output
    }

    mutating func run() async throws {
        let options = ListOptions(pageItemsMax: Self.pageItems, values: true, requiresFullHarvest: true)
        var pages = client.list(kind, options).makeAsyncIterator()
        defer { bar.clear() }
        while let page = try await next(&pages) {
            var lines: [UInt8] = []
            for item in page.items { try await append(item, to: &lines) }
            try output(lines[...])
            let elapsed = bar.elapsed
            bar.show(ProgressPicture(items: written, noun: "lines", itemsInRun: written, elapsed: elapsed))
        }
    }

    /// The next page. A server that restarts meanwhile is waited for: the cursor outlives it.
    private func next(_ pages: inout EntityPages.AsyncIterator) async throws -> ListPage? {
        let clock = ContinuousClock()
        let start = clock.now
        while true {
            do throws(KeysteadError) {
                return try await pages.next()
            } catch {
                guard error.retry == .safe, written > 0, clock.now - start < Self.patience else { throw error }
            }
            try await Task.sleep(for: Self.retryInterval)
        }
    }

    private mutating func append(_ item: ListedEntity, to lines: inout [UInt8]) async throws {
        guard let state = try await exactState(of: item) else { return }
        guard ExportLine.canCarry(state) else {
            leftOut += 1
            bar.say("\(Format.printable(item.key.description)) left out: \(ExportLine.reason(state))")
            return
        }
        lines += state
        lines.append(0x0A)
        written += 1
    }

    /// The state as the list shows it where that is all of its bytes, else read by itself; `nil` where it has been
    /// deleted meanwhile.
    private func exactState(of item: ListedEntity) async throws -> [UInt8]? {
        if let state = item.state, state.count == item.byteCount { return state }
        do throws(KeysteadError) {
            return try await client.get(item.key).state
        } catch  where error.code == .notFound {
            return nil
        }
    }
}

/// Which states a line of NDJSON can carry. Pure.
enum ExportLine {
    /// A JSON object without line feeds: what an import made, or could have.
    static func canCarry(_ state: [UInt8]) -> Bool {
        !state.contains(0x0A) && JSONText(state)?.kind == .object
    }

    static func reason(_ state: [UInt8]) -> String {
        guard let text = JSONText(state) else { return "its state is not JSON" }
        return text.kind == .object ? "its state is JSON of several lines" : "its state is JSON, but no object"
    }
}
