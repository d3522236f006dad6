import Dispatch
import Glibc
import Primitives
import Synchronization

/// Ends the process where going on could lose acknowledged writes. A restart replays the log.
enum ProcessEnd {
    /// The code of `EX_IOERR` in sysexits.h. A log that fails ends the process with another (Contract §3.2).
    private static let code: CInt = 74

    static func storeFailed(_ shard: ShardID, _ reason: String) -> Never {
        LastWords.say(
            "keystead: the store of shard \(shard) failed and cannot make writes durable: \(reason); "
                + "stopping, a restart replays the log")
        _exit(code)
    }
}

/// Hears SIGTERM and SIGINT, from the first moment of a process to its last, on a queue of its own: an end that was
/// asked for comes within ``Limits/endSecondsMax``, whatever else is held. A second signal changes nothing.
public final class EndSignals: Sendable {
    public static let shared = EndSignals()

    /// What an end waits for, one after the other.
    enum Part: String {
        case start = "the start of the node"
        case answers = "answers to callers"
        case peers = "answers to other nodes"
        case cluster = "moves of shards and the metadata store"
        case shards = "writes under way"
        case reads = "reads under way"
        case disk = "the disk"
        case admin = "answers of the admin listener"
    }

    private struct State {
        var part = Part.start
        var sources: [any DispatchSourceSignal] = []
        var isAsked = false
        var asked: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "keystead.end")

    private init() {}

    /// Begins to listen. From now on the signals do not end the process by themselves.
    public func listen() {
        state.withLock { state in
            guard state.sources.isEmpty else { return }
            for number in [SIGTERM, SIGINT] {
                let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
                source.setEventHandler { self.ask() }
                source.activate()
                state.sources.append(source)
            }
        }
    }

    /// Calls `body` once, when the first signal comes, or now, where it has come. On the queue, or on the caller's
    /// thread; it must not block.
    func whenAsked(_ body: @escaping @Sendable () -> Void) {
        let isAsked = state.withLock { state in
            if !state.isAsked { state.asked.append(body) }
            return state.isAsked
        }
        if isAsked { body() }
    }

    /// Says what an end waits for from here on, should it have to be given up. Any thread.
    func note(_ part: Part) { state.withLock { $0.part = part } }

    private func ask() {
        let asked = state.withLock { state -> [@Sendable () -> Void]? in
            guard !state.isAsked else { return nil }
            defer { state.asked = [] }
            state.isAsked = true
            return state.asked
        }
        guard let asked else { return }
        queue.asyncAfter(deadline: .now() + .seconds(Int(Limits.endSecondsMax))) { self.giveUp() }
        for body in asked { body() }
    }

    /// What was acknowledged is in the log: ending here is what a crash is, and loses as little.
    private func giveUp() -> Never {
        let part = state.withLock { $0.part }
        LastWords.say(
            "keystead: the node did not come to its end in order within \(Limits.endSecondsMax) s, and ends now: it "
                + "waited for \(part.rawValue). Nothing that was acknowledged is lost: the next start replays the log")
        _exit(0)
    }
}

/// Waits for `body`, at most so long. What is not done by then goes on by itself.
///
/// - Returns: whether it is done.
@discardableResult
func waiting(atMost seconds: UInt64, for body: @escaping @Sendable () async -> Void) async -> Bool {
    let (results, told) = AsyncStream.makeStream(of: Bool.self)
    let work = Task {
        await body()
        told.yield(true)
    }
    let clock = Task {
        try? await Task.sleep(nanoseconds: seconds * 1_000_000_000)
        told.yield(false)
    }
    // Cancelling the caller's task does not end the wait: what is ended must be ended.
    let isDone = await Task { await results.first { _ in true } ?? false }.value
    clock.cancel()
    if !isDone { work.cancel() }
    return isDone
}
