import DequeModule
import Entities
public import Primitives

/// The turns of a machine: what its owner's thread evaluates before it lets others have their turn.
extension ShardMachine {
    /// Operations wait for a turn.
    public var hasMore: Bool { !waiting.isEmpty || !stalled.isEmpty }

    /// Evaluates what waits for a turn, in order, as far as ``workLeft`` goes. The operation that passes it is
    /// finished.
    public mutating func carryOn(now: Timestamp, rows: some CommittedRows) {
        while workLeft > 0, let key = stalled.popFirst() {
            if lanes[key]?.errand == nil { runParked(key, now: now, rows: rows) }
        }
        while workLeft > 0, stalled.isEmpty {
            let item = mutants.has(.waitingOrderLost) ? waiting.popLast() : waiting.popFirst()
            guard let item else { return }
            enqueue(item, now: now, rows: rows)
        }
    }

    /// Lets go of the states that were kept read. The owner calls it when a group has ended and nothing waits that
    /// could use them, or when another machine needs the memory: what is forgotten is read anew.
    public mutating func forgetReadStates() {
        guard !readStates.isEmpty else { return }
        readStates.removeAll()
        readStatesBytes = 0
    }

    /// Takes out the state of `record`, where it is kept read.
    mutating func takeReadState(of key: EntityKey, _ record: StoredRecord?) -> ReadState? {
        guard let record, record.state.count >= Limits.readStateBytesMin,
            let state = readStates.removeValue(forKey: key)
        else { return nil }
        readStatesBytes -= state.byteCount
        return state
    }

    /// Keeps a state for the next operation of its entity; the others have to go where there is not room for all.
    mutating func keep(_ state: ReadState?, of key: EntityKey) {
        guard let state, state.byteCount >= Limits.readStateBytesMin else { return }
        if readStatesBytes + state.byteCount > Limits.readStatesBytesMax { forgetReadStates() }
        readStates[key] = state
        readStatesBytes += state.byteCount
    }
}
