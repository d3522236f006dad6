import DequeModule
import Entities
public import Primitives

/// The freeze of a shard that is about to change its owner (DESIGN §9).
extension ShardMachine {
    /// From now on what comes, and what waits for a turn, is kept in order, unevaluated, and counts towards the limits
    /// of the queue. What was evaluated or waits for a row goes on. Does nothing where the shard is frozen already.
    public mutating func hold() {
        guard !isHeld else { return }
        isHeld = true
        swap(&held, &waiting)
    }

    /// The shard is frozen, and nothing that was admitted before is left: every effect is applied, no answer waits for
    /// a position and no operation for a row. ``applied`` is then the shard's last position, and stays it. Answers may
    /// still be waiting for ``nextAnswer()``.
    public var isDrained: Bool { isHeld && effects.isEmpty && queuedItems == held.count }

    /// Operations kept by the freeze.
    public var heldItems: Int { held.count }

    /// Ends the freeze: evaluates what was kept, in order and as far as ``workLeft`` goes. Refuses what has been kept
    /// for so long that nobody waits for it any more. Does nothing where the shard is not frozen.
    ///
    /// - Parameter time: of now, by the clock of arrivals. The queue's age is counted from here.
    public mutating func thaw(now: Timestamp, at time: MonotonicTime, rows: some CommittedRows) {
        isHeld = false
        if mutants.has(.freezeDropsQueue) { _ = takeHeld() }
        while var item = held.popFirst() {
            guard time.nanoseconds(since: item.arrival) < Limits.requestSecondsMax * 1_000_000_000 else {
                release(item, .refused(waitedTooLong, currentVersion: nil, place(applied)))
                continue
            }
            item.arrival = time
            waiting.append(item)
        }
        carryOn(now: now, rows: rows)
    }

    private var waitedTooLong: Problem {
        Problem(
            .shardUnavailable,
            "shard \(shard) was about to change hands for longer than a request waits; nothing was done")
    }

    /// Takes out what the freeze has kept, in order: the shard is lost, and the new owner is to be asked. None of it
    /// was evaluated, so nothing can happen twice. The machine stays frozen, is empty where it ``isDrained``, and is to
    /// be thrown away.
    public mutating func surrender() -> [(ticket: Ticket, work: Work)] {
        precondition(isHeld, "shard \(shard) is given up without having been frozen")
        let taken = takeHeld()
        return mutants.has(.freezeDropsQueue) ? [] : taken
    }

    private mutating func takeHeld() -> [(ticket: Ticket, work: Work)] {
        var taken: [(ticket: Ticket, work: Work)] = []
        while let item = held.popFirst() {
            queuedItems -= 1
            queuedBytes -= item.bytes
            taken.append((item.ticket, item.work))
        }
        return taken
    }
}
