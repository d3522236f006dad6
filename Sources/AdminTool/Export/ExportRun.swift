import KeysteadClient

/// An export in the form that was asked for or, where none was, in the one that carries everything: states where they
/// do, full lines otherwise.
struct ExportRun {
    /// What a terminal or a pipe is not given before it is certain that states carry everything. More than this is read
    /// a second time instead.
    static let heldBytesMax = 16 << 20

    let client: Keystead
    let kind: String
    let format: LineFormatName?
    /// `nil` is standard output.
    let file: AtomicFile?

    private let console = Console.current

    init(client: Keystead, kind: String, format: LineFormatName?, file: AtomicFile?) {
        self.client = client
        self.kind = kind
        self.format = format
        self.file = file
    }

    func run() async throws -> Exporter {
        switch format {
        case .full: return try await pass(.full, write)
        case .states: return try await pass(.states, write)
        case nil: break
        }
        let held = HeldLines()
        let canRestart = file?.canRestart ?? false
        let first = try await pass(.statesIfWhole, canRestart ? write : held.take)
        if let objection = first.objection {
            console.say("full lines, as states alone do not carry everything (\(objection))")
            if canRestart { try file?.restart() }
            return try await pass(.full, write)
        }
        if canRestart { return first }
        guard held.isWhole else { return try await pass(.states, write) }
        try write(held.bytes[...])
        return first
    }

    private func pass(_ mode: Exporter.Mode, _ output: @escaping (ArraySlice<UInt8>) throws -> Void) async throws
        -> Exporter
    {
        var exporter = Exporter(
            client: client, kind: kind, mode: mode, drawsBar: file != nil || !console.isOutputTerminal, output: output)
        try await exporter.run()
        return exporter
    }

    private func write(_ lines: ArraySlice<UInt8>) throws {
        if let file { try file.write(lines) } else { try console.write(stored: lines) }
    }
}

/// Keeps lines while they are few; of more it keeps none.
private final class HeldLines {
    private(set) var bytes: [UInt8] = []
    private(set) var isWhole = true

    func take(_ lines: ArraySlice<UInt8>) {
        guard isWhole, bytes.count + lines.count <= ExportRun.heldBytesMax else {
            isWhole = false
            bytes = []
            return
        }
        bytes += lines
    }
}
