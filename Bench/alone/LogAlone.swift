import ArgumentParser
import Glibc
import LogCore
import LogFiles
import LogFormat
import Primitives

/// The node's log alone: groups of records handed over at once, and the next when the whole group is durable. Records
/// go round the shards as those of a spread load do.
struct LogAlone: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Groups of records through the log, one after the other.")

    @OptionGroup var options: AloneOptions

    @Option(help: "Shards that the records are of.")
    var shards = 64

    func run() throws {
        let scratch = try ScratchDirectory(below: options.directory, named: "log-alone")
        let waiter = DurableWaiter()
        let marks = (0..<shards).map {
            AppliedMark(shard: ShardID(UInt32($0)), epoch: Epoch(1), position: .zero, lsn: .zero)
        }
        let identifier = LogIdentity.Identifier(high: 1, low: 2)
        let (log, _) = try NodeLog.open(
            directory: scratch.path + "/log", identity: LogIdentity(clusterID: identifier, nodeStoreID: identifier),
            applied: marks, lanes: 1, replay: { _ in }, onDurable: { _, marks in waiter.report(marks) })
        var run = Run(log: log, waiter: waiter, draw: Draw(options), next: Array(repeating: 1, count: shards))
        for size in options.groups {
            let times = try GroupTimes.measure(size: size, seconds: options.seconds) { try run.group(size) }
            print(times.json("log alone, groups of \(size)"))
        }
        log.close()
    }

    private struct Run {
        let log: NodeLog
        let waiter: DurableWaiter
        var draw: Draw
        /// The next position of each shard.
        var next: [UInt64]
        private var turn = 0

        init(log: NodeLog, waiter: DurableWaiter, draw: Draw, next: [UInt64]) {
            self.log = log
            self.waiter = waiter
            self.draw = draw
            self.next = next
        }

        mutating func group(_ size: Int) throws {
            waiter.expect(size)
            for _ in 0..<size {
                let batch = AppendBatch(
                    lane: 0, shard: ShardID(UInt32(turn)), epoch: Epoch(1), firstPosition: Position(next[turn]),
                    payloads: [draw.value()])
                guard log.submit(batch, wakes: false) == .accepted else { throw ExitCode(1) }
                next[turn] += 1
                turn = (turn + 1) % next.count
            }
            log.wake()
            // As if the stores flushed as fast as they apply: segments are recycled and never run out.
            log.flushed(waiter.wait())
        }
    }
}

/// Waits until so many positions are durable.
///
/// SAFETY (`@unchecked Sendable`): all that changes is touched under `mutex` only.
private final class DurableWaiter: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var missing = 0
    private var last: [ShardID: DurableMark] = [:]

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func expect(_ count: Int) {
        pthread_mutex_lock(mutex)
        missing += count
        pthread_mutex_unlock(mutex)
    }

    func report(_ marks: [DurableMark]) {
        pthread_mutex_lock(mutex)
        for mark in marks {
            missing -= Int(mark.position.rawValue - (last[mark.shard]?.position.rawValue ?? 0))
            last[mark.shard] = mark
        }
        let isDone = missing == 0
        pthread_mutex_unlock(mutex)
        if isDone { pthread_cond_signal(condition) }
    }

    /// The shards' marks once all that is expected is durable.
    func wait() -> [DurableMark] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while missing > 0 { pthread_cond_wait(condition, mutex) }
        return Array(last.values)
    }
}
