import KeysteadClient

/// Carries a file of lines into the cluster, in memory bounded by the lanes.
struct Importer {
    /// Chunks under way at once, each on a connection of its own.
    static let lanes = 8
    /// No entity is longer (16 MiB at most, and what writing it as JSON adds), so a longer line is refused without
    /// being held.
    static let lineBytesMax = 48 << 20
    private static let checkpointInterval = Duration.seconds(1)

    private let client: Keystead
    private let file: InputFile
    private let choice: ImportChoice
    /// Where progress is kept; `nil` for standard input.
    private let progressPath: String?
    private let console = Console.current

    private(set) var progress: ImportProgress
    private let start: InputMark
    private var lanes = ImportLanes(count: Self.lanes)
    private var splitter = LineSplitter(lineBytesMax: Self.lineBytesMax)
    /// Where the reader stands.
    private var reader: InputMark
    /// Lines beyond the mark of `progress` that were refused or blank; they count once the mark has passed them.
    private var refusedAhead: [UInt64] = []
    private var blankAhead: [UInt64] = []
    private let contact = ServerContact()
    private let notice = WaitNotice()
    private var bar: ProgressBar
    private var lastCheckpoint: ContinuousClock.Instant
    private var hasWarned = false

    /// `file` stands at the mark of `progress`.
    init(client: Keystead, file: InputFile, choice: ImportChoice, progress: ImportProgress, progressPath: String?) {
        self.client = client
        self.file = file
        self.choice = choice
        self.progress = progress
        self.progressPath = progressPath
        self.start = progress.mark
        self.reader = progress.mark
        self.bar = ProgressBar(console: Console.current)
        self.lastCheckpoint = ContinuousClock().now
    }

    /// Reads to the end and sends everything. Where it throws, the progress file says how far it came.
    mutating func run() async throws {
        do {
            try await withThrowingTaskGroup(of: (Int, [ImportRefusal]).self) { group in
                try await readAll(&group)
                for lane in lanes.unsent { try await launch(lane, &group) }
                while try await reap(&group) {}
            }
        } catch {
            checkpoint(force: true)
            bar.clear()
            throw error
        }
        checkpoint(force: true)
        bar.clear()
    }

    var elapsed: Duration { bar.elapsed }
    var writtenInRun: UInt64 { progress.mark.line - start.line }

    private typealias Group = ThrowingTaskGroup<(Int, [ImportRefusal]), any Error>

    private mutating func readAll(_ group: inout Group) async throws {
        var isBeginning = start.offset == 0
        while true {
            let piece = try await file.read()
            if piece.isEmpty { break }
            if isBeginning, let encoding = ImportEncoding.foreign(piece[...]) {
                throw CommandFailure(.refused, "\(choice.input) is \(encoding): make it UTF-8 first; nothing was sent")
            }
            isBeginning = false
            splitter.append(piece)
            loop: while true {
                let step = splitter.next()
                if case .needsMore = step { break loop }
                try await take(step, &group)
            }
            try Task.checkCancellation()
        }
        if let last = splitter.finish() { try await take(last, &group) }
    }

    private mutating func take(_ step: LineSplitter.Step, _ group: inout Group) async throws {
        let mark = reader
        reader = InputMark(offset: start.offset + splitter.consumedBytes, line: mark.line + 1)
        guard case .line(let bytes) = step else {
            let most = Format.bytes(UInt64(Self.lineBytesMax))
            refuse(ImportRefusal(line: reader.line, reason: "longer than \(most), which is beyond any entity"))
            return
        }
        switch try read(bytes, at: mark) {
        case .blank: blankAhead.append(reader.line)
        case .refused(let reason): refuse(ImportRefusal(line: reader.line, reason: reason))
        case .entity(let content):
            let lane = lanes.add(.init(number: reader.line, mark: mark, content: content))
            if lanes.isFull(lane) { try await launch(lane, &group) }
        }
        if reader.line.isMultiple(of: 1000) {
            for lane in lanes.overdue(at: reader.line) { try await launch(lane, &group) }
            checkpoint()
        }
    }

    /// What a line is, without the carriage return of its line end and, at the beginning, without a byte order mark.
    /// The first line that is not blank tells what all of them are.
    private mutating func read(_ bytes: ArraySlice<UInt8>, at mark: InputMark) throws -> ImportLine {
        var line = bytes
        if mark.offset == 0, line.starts(with: ImportEncoding.byteOrderMark) { line = line.dropFirst(3) }
        if line.last == 0x0D { line = line.dropLast() }
        guard !ImportLine.isBlank(line) else { return .blank }
        let format = try progress.origin.format ?? choice.format(of: line, number: reader.line)
        progress.origin.format = format
        return ImportLine(line, format, kind: progress.origin.kind)
    }

    /// Sends a lane's lines, once the chunk before them is through.
    private mutating func launch(_ lane: Int, _ group: inout Group) async throws {
        while lanes.isUnderWay(lane) { _ = try await reap(&group) }
        let chunk = lanes.take(lane)
        let sender = ChunkSender(
            client: client, kind: progress.origin.kind, run: progress.run, contact: contact, notice: notice)
        group.addTask { (chunk.lane, try await sender.send(chunk)) }
    }

    /// Waits for one chunk; `false` where none is under way.
    private mutating func reap(_ group: inout Group) async throws -> Bool {
        guard let (lane, refusals) = try await group.next() else { return false }
        lanes.finished(lane)
        for refusal in refusals { refuse(refusal) }
        checkpoint()
        return true
    }

    private mutating func refuse(_ refusal: ImportRefusal) {
        refusedAhead.append(refusal.line)
        bar.say("line \(refusal.line) refused: \(refusal.reason)")
    }

    /// Moves the mark to where everything is confirmed; writes it down once a second, or at once where forced.
    private mutating func checkpoint(force: Bool = false) {
        progress.mark = lanes.confirmed(reader: reader)
        let line = progress.mark.line
        progress.refused += UInt64(refusedAhead.filter { $0 <= line }.count)
        progress.blank += UInt64(blankAhead.filter { $0 <= line }.count)
        refusedAhead.removeAll { $0 <= line }
        blankAhead.removeAll { $0 <= line }
        let picture = picture
        bar.show(picture)
        let now = ContinuousClock().now
        guard force || now - lastCheckpoint >= Self.checkpointInterval, line > 0, let progressPath else { return }
        lastCheckpoint = now
        do {
            progress.prefixHash = try ImportProgress.hash(of: file, before: progress.mark.offset)
            try AtomicFile.replace(progressPath, with: progress.encoded)
        } catch {
            guard !hasWarned else { return }
            hasWarned = true
            bar.say("the import goes on, but cannot be resumed: \(error)")
        }
    }

    private var picture: ProgressPicture {
        let total = file.byteCount.map { Double(max($0, 1)) }
        return ProgressPicture(
            items: progress.mark.line, noun: "lines", fraction: total.map { Double(progress.mark.offset) / $0 },
            itemsInRun: writtenInRun, fractionAtStart: total.map { Double(start.offset) / $0 } ?? 0,
            elapsed: bar.elapsed)
    }
}
