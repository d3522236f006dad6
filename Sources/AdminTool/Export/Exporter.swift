import KeysteadClient

/// Writes the entities of a kind as lines, once through.
struct Exporter {
    /// How long to wait for a server that was there and is gone.
    private static let patience = Duration.seconds(60)
    private static let retryInterval = Duration.seconds(1)
    private static let pageItems = 1000

    /// What is written.
    enum Mode: Equatable {
        /// Every entity as a ``FullLine``.
        case full
        /// States alone; an entity whose state cannot stand by itself is left out, named and counted.
        case states
        /// States alone as long as they carry everything; the first entity of which they do not ends the run.
        case statesIfWhole
    }

    let client: Keystead
    let kind: String
    let mode: Mode
    /// Whether a bar may stand between the lines that are written.
    let drawsBar: Bool
    let output: (ArraySlice<UInt8>) throws -> Void

    private(set) var written: UInt64 = 0
    /// Entities whose state cannot stand by itself.
    private(set) var leftOut: UInt64 = 0
    /// Why states do not carry everything, where that ended the run.
    private(set) var objection: String?
    private(set) var form = StatesForm()
    private(set) var bar = ProgressBar(console: Console.current)
    private let notice = WaitNotice()

    init(
        client: Keystead, kind: String, mode: Mode, drawsBar: Bool,
        output: @escaping (ArraySlice<UInt8>) throws -> Void
    ) {
        self.client = client
        self.kind = kind
        self.mode = mode
        self.drawsBar = drawsBar
        self.output = output
    }

    mutating func run() async throws {
        let options = ListOptions(pageItemsMax: Self.pageItems, values: true, requiresFullHarvest: true)
        var pages = client.list(kind, options).makeAsyncIterator()
        defer { bar.clear() }
        while let page = try await next(&pages) {
            var lines: [UInt8] = []
            for item in page.items {
                guard let entity = try await exact(item) else { continue }
                append(entity, to: &lines)
                guard objection == nil else { return }
            }
            try output(lines[...])
            guard drawsBar else { continue }
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
                let left = Self.patience - (clock.now - start)
                guard error.retry == .safe, written > 0, left > .zero else { throw error }
                notice.say("\(error.detail); trying again for \(Format.time(left)) more")
            }
            try await Task.sleep(for: Self.retryInterval)
        }
    }

    private mutating func append(_ entity: FullLine, to lines: inout [UInt8]) {
        switch mode {
        case .full: lines += entity.encoded
        case .states:
            if let reason = StatesForm.objection(to: entity.state) {
                leftOut += 1
                return bar.say("\(entity.key) left out: \(reason)")
            }
            lines += entity.state
        case .statesIfWhole:
            if let reason = form.objection(to: entity) {
                objection = "\(entity.key): \(reason)"
                return
            }
            lines += entity.state
        }
        lines.append(0x0A)
        written += 1
    }

    /// The entity as the list shows it where that is all of its bytes, else read by itself; `nil` where it has been
    /// deleted meanwhile.
    private func exact(_ item: ListedEntity) async throws -> FullLine? {
        if let state = item.state, state.count == item.byteCount {
            return FullLine(
                key: item.key, contentType: item.contentType, ttlSeconds: item.ttlSeconds, state: state)
        }
        do throws(KeysteadError) {
            let found = try await client.get(item.key)
            return FullLine(
                key: found.key, contentType: found.contentType, ttlSeconds: found.ttlSeconds, state: found.state)
        } catch  where error.code == .notFound {
            return nil
        }
    }
}
