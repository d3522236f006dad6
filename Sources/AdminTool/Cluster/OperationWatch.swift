import ArgumentParser
import KeysteadClient

/// `--wait` and `--timeout`.
struct WaitOptions: ParsableArguments {
    @Flag(name: .long, help: "Watch it to its end, and read back that it is so.")
    var wait = false

    @OptionGroup var limit: TimeoutOptions

    func validate() throws {
        guard wait || limit.timeout == nil else { throw ValidationError("--timeout goes with --wait") }
    }
}

struct TimeoutOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp("Stop watching after so many seconds; the operation goes on.", valueName: "s"))
    var timeout: UInt64?

    var duration: Duration? { timeout.map { .seconds(Int64(clamping: $0)) } }
}

/// Watches an operation to its end. The operation lives in the cluster: whatever ends the watching, it goes on.
struct OperationWatch {
    private static let interval = Duration.milliseconds(250)
    /// Where no bar may be drawn, a line this often.
    private static let lineInterval = Duration.seconds(5)
    /// How long to go on while no node answers: nodes restart, and the operation outlives that.
    private static let patience = Duration.seconds(60)

    private let client: Keystead
    private let timeout: Duration?
    private let console = Console.current
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant
    private var operation: OperationDetail
    private var meter = RateMeter()
    private var bar: ProgressBar
    private var lastLine: ContinuousClock.Instant?
    private var lastContact: ContinuousClock.Instant
    private var isLost = false

    init(_ client: Keystead, _ operation: OperationDetail, timeout: Duration?) {
        self.client = client
        self.operation = operation
        self.timeout = timeout
        self.start = clock.now
        self.lastContact = clock.now
        self.bar = ProgressBar(console: Console.current)
    }

    /// The operation once it is done. One that failed, or that somebody cancelled, ends the command.
    ///
    /// - Parameter format: how the operation is printed where it ended otherwise.
    mutating func run(as format: OutputFormat) async throws -> OperationDetail {
        do {
            show()
            while !operation.isOver {
                try await pause()
                try await look()
                show()
            }
            bar.clear()
        } catch {
            bar.clear()
            guard error is CancellationError else { throw error }
            throw CommandFailure(.interrupted, "interrupted; \(goesOn)")
        }
        guard operation.state != "done" else { return operation }
        try AdminTool.show(operation, as: format)
        throw OperationText.failure(operation)
    }

    private var goesOn: String {
        let (watch, stop) = (Advice.cluster("op", "wait", operation.id), Advice.cluster("op", "cancel", operation.id))
        return "operation \(operation.id) goes on; \(watch) watches it, \(stop) stops it"
    }

    private var timeLeft: Duration? { timeout.map { $0 - (clock.now - start) } }

    private func pause() async throws {
        if let timeLeft, timeLeft <= .zero { throw timedOut }
        try await Task.sleep(for: min(Self.interval, max(timeLeft ?? Self.interval, .zero)))
    }

    private var timedOut: CommandFailure {
        CommandFailure(
            .unknownOutcome, "timed out after \(Format.time(timeout ?? .zero)) at \(progress); \(goesOn)")
    }

    private var progress: String { OperationText.count(operation) }

    /// Asks how far it is.
    private mutating func look() async throws {
        do throws(KeysteadError) {
            operation = try await client.operation(operation.id, deadline: timeLeft.map { max($0, .milliseconds(1)) })
            lastContact = clock.now
            isLost = false
        } catch {
            if error.code == .cancelled { throw CancellationError() }
            guard error.retry != .never else { throw error }
            if let timeLeft, timeLeft <= .zero { throw timedOut }
            guard clock.now - lastContact < Self.patience else {
                throw CommandFailure(.unreachable, "\(error.detail); \(goesOn)")
            }
            if !isLost { bar.say("\(error.detail); still trying, \(goesOn)") }
            isLost = true
        }
    }

    private mutating func show() {
        meter.add(operation.bytesDone, at: clock.now - start)
        let rate = OperationText.measuredRate(operation) ?? meter.bytesPerSecond
        if console.drawsBars {
            let (operation, columns) = (operation, console.columns)
            bar.show { OperationText.bar(operation, rate: rate, columns: columns) }
        } else if lastLine.map({ clock.now - $0 >= Self.lineInterval }) ?? true {
            lastLine = clock.now
            console.say(OperationText.line(operation, rate: rate))
        }
    }
}

/// Bytes a second over the last few seconds. Pure.
struct RateMeter {
    private static let window = Duration.seconds(10)

    private var samples: [(bytes: UInt64, time: Duration)] = []

    /// Times must not go back.
    mutating func add(_ bytes: UInt64, at time: Duration) {
        // Another round of a copy begins with fewer bytes than the last ended with.
        if let last = samples.last, bytes < last.bytes { samples = [] }
        samples.append((bytes, time))
        while samples.count > 2, time - samples[1].time >= Self.window { samples.removeFirst() }
    }

    /// `nil` before two samples tell something.
    var bytesPerSecond: UInt64? {
        guard let first = samples.first, let last = samples.last, last.time - first.time >= .seconds(1) else {
            return nil
        }
        return Format.rate(last.bytes - first.bytes, in: last.time - first.time)
    }
}

/// What follows once an operation has begun, or was joined: it is watched where that was asked for, printed, and what
/// it was for is read back.
struct OperationFollow {
    let waits: Bool
    let timeout: Duration?
    /// For verbs that make an operation which is over at once: there is no telling it from one that was over before.
    var isInstant = false

    /// - Parameter condition: of the operation as it ended, or of none where nothing had to be done; `nil` where there
    ///   is nothing to read back.
    func run(
        _ outcome: AdminOutcome, _ client: Keystead, as format: OutputFormat,
        condition: (OperationDetail?) -> Postcondition?
    ) async throws {
        switch outcome {
        case .operation(let operation): try await run(operation, client, as: format, condition: condition)
        case .nothingToDo(let unchanged):
            let note = unchanged.note.isEmpty ? "" : "\(unchanged.note): "
            Console.current.say("\(note)nothing to do")
            if format == .json { try Console.current.write(json: unchanged.text.bytes) }
            try await condition(nil)?.readBack(client, done: "nothing was to do")
        }
    }

    /// Follows a rebalance that was committed or joined.
    func rebalance(_ outcome: AdminOutcome, _ client: Keystead, as format: OutputFormat) async throws {
        // Shards that an old plan took somewhere may rightly have gone on from there since.
        let isOld = outcome.operation?.isOver ?? true
        let asked = outcome.operation?.moves ?? []
        try await run(outcome, client, as: format) { last in
            isOld ? nil : .rebalanced(asked: asked, done: last?.moves ?? [])
        }
    }

    private func run(
        _ operation: OperationDetail, _ client: Keystead, as format: OutputFormat,
        condition: (OperationDetail?) -> Postcondition?
    ) async throws {
        var last = operation
        if operation.isOver {
            if !isInstant, operation.state == "done" {
                Console.current.say("\(OperationText.name(operation)): done already, nothing to do")
            }
        } else if waits {
            var watch = OperationWatch(client, operation, timeout: timeout)
            last = try await watch.run(as: format)
        } else {
            let resume = Advice.cluster("op", "resume", operation.id)
            let word = operation.state == "paused" ? "paused: \(resume) lets it go on" : "runs"
            let watch = Advice.cluster("op", "wait", operation.id)
            Console.current.say("\(OperationText.name(operation)), \(word); \(watch) watches it")
        }
        try show(last, as: format)
        guard last.isOver else { return }
        guard last.state == "done" else { throw OperationText.failure(last) }
        if let condition = condition(last) {
            try await condition.readBack(client, done: "operation \(last.id) is done")
        }
    }
}

extension WaitOptions {
    var follow: OperationFollow { OperationFollow(waits: wait, timeout: limit.duration) }
}
