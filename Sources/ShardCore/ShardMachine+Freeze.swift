import DequeModule
public import Primitives

/// The freeze of a shard that is about to change its owner (DESIGN §9).
extension ShardMachine {
    /// From now on what comes is kept in order, unevaluated, and counts towards the limits of the queue. What was
    /// admitted before goes on. Does nothing where the shard is frozen already.
    public mutating func hold() { isHeld = true }

    /// The shard is frozen, and nothing that was admitted before is left: every effect is applied, no answer waits for
    /// a position and no operation for a row. ``applied`` is then the shard's last position, and stays it. Answers may
    /// still be waiting for ``nextAnswer()``.
    public var isDrained: Bool { isHeld && effects.isEmpty && queuedItems == held.count }

    /// Operations kept by the freeze.
    public var heldItems: Int { held.count }

    /// Ends the freeze: evaluates what was kept, in order. Does nothing where the shard is not frozen.
    public mutating func thaw(now: Timestamp, rows: some CommittedRows) {
        isHeld = false
        if mutants.has(.freezeDropsQueue) { _ = takeHeld() }
        while let item = held.popFirst() { enqueue(item, now: now, rows: rows) }
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
