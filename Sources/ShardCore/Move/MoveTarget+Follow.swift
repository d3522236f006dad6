import DequeModule
import Entities
public import Primitives

extension MoveTarget {
    /// The updates after the checkpoint. Invariant: `applied <= durable <= submitted <= last`.
    struct Follow {
        enum Stage: Equatable {
            case due(MonotonicTime)
            case writing
            case written
        }

        struct Pull {
            let request: Request
            let durable: Position
        }

        var stage: Stage
        /// The last update received.
        var last: Position
        /// The last one that the log has taken.
        var submitted: Position
        var durable: Position
        var applied: Position
        /// Those after `applied`.
        var effects = Deque<EntityEffect>()
        var bytes = 0
        /// Received and not yet taken by the log.
        var pending: AppendGroup?
        /// When to give it (again); `nil` while the log has it to decide.
        var appendAt: MonotonicTime?
        var isApplying = false
        var pull: Pull?
        var nextPull: MonotonicTime?
        /// What the newest pull has said.
        var acknowledged: Position
        var frozenThrough: Position?
        var sourceApplied: Position

        init(applied: Position, now: MonotonicTime) {
            stage = .due(now)
            last = applied
            submitted = applied
            durable = applied
            self.applied = applied
            acknowledged = .zero
            sourceApplied = applied
        }

        mutating func apply(upTo position: Position) {
            precondition(position <= durable, "only committed effects enter the store")
            isApplying = false
            while applied < position {
                guard let effect = effects.popFirst() else { preconditionFailure("what was applied was received") }
                bytes -= effect.encoded.count
                applied = applied.next
            }
        }
    }

    // MARK: Steps

    mutating func followMore(now: MonotonicTime) {
        if case .due(let time) = follow?.stage, time <= now, owned == nil {
            follow?.stage = .writing
            effects.append(.enterCatchUp)
        }
        if let group = follow?.pending, let time = follow?.appendAt, time <= now {
            follow?.appendAt = nil
            effects.append(.append(group))
        }
        applyMore()
        if owned == nil { pullMore(now: now) } else { serveWhenApplied() }
    }

    private mutating func applyMore() {
        guard let state = follow, !state.isApplying, state.applied < state.durable else { return }
        follow?.isApplying = true
        let count = Int(state.durable.rawValue - state.applied.rawValue)
        effects.append(
            .apply(
                CommitGroup(
                    shard: shard, epoch: epoch, through: state.durable, effects: Array(state.effects.prefix(count)))))
    }

    private mutating func serveWhenApplied() {
        guard let state = follow, let owned, state.applied == state.last else { return }
        phase = .done
        effects.append(.serve(owned, applied: state.applied))
    }

    private mutating func pullMore(now: MonotonicTime) {
        guard let state = follow, state.pending == nil, state.bytes < 2 * settings.pullBytesMax,
            state.nextPull.map({ $0 <= now }) ?? true
        else { return }
        if let frozenThrough = state.frozenThrough, state.last >= frozenThrough {
            // The source waits for nothing but this node's word, which is worth a pull of its own.
            guard state.durable > state.acknowledged || state.pull == nil && state.durable >= frozenThrough else {
                return
            }
        } else if state.pull != nil {
            return
        }
        let request = newRequest(now: now, waits: settings.pullMilliseconds)
        follow?.pull = Follow.Pull(request: request, durable: state.durable)
        follow?.acknowledged = state.durable
        follow?.nextPull = nil
        effects.append(
            .requestPull(
                request: request.number, session, after: state.last, durable: state.durable,
                bytesMax: settings.pullBytesMax, waitMilliseconds: settings.pullMilliseconds))
    }

    // MARK: Updates

    /// What the source said to ``Effect/requestPull(request:_:after:durable:bytesMax:waitMilliseconds:)``.
    public mutating func pulled(_ request: UInt64, _ answer: MovePullAnswer, now: MonotonicTime) {
        guard owned == nil, let state = follow, state.pull?.request.number == request else { return }
        follow?.pull = nil
        follow?.frozenThrough = nil
        switch answer.phase {
        case .restart:
            beginAnew(now: now)
            return trouble = "the source has dropped updates that this node still lacks, or was started again"
        case .handedOver:
            follow?.nextPull = now.adding(nanoseconds: backOff.nextPause())
            return effects.append(.readOwner)
        case .frozen(let through): follow?.frozenThrough = through
        case .streaming: break
        }
        guard answer.epoch == epoch else {
            beginAnew(now: now)
            return trouble = "the source owns the shard at epoch \(answer.epoch) now"
        }
        follow?.sourceApplied = answer.applied
        backOff.succeeded()
        receive(answer, after: state.last, now: now)
    }

    private mutating func receive(_ answer: MovePullAnswer, after last: Position, now: MonotonicTime) {
        var payloads = answer.payloads
        if answer.first > last.next {
            guard mutants.has(.teeGapIgnored), let first = payloads.first else {
                if payloads.isEmpty { return }
                beginAnew(now: now)
                return trouble = "the source left out updates after position \(last)"
            }
            let lacking = Int(answer.first.rawValue - last.next.rawValue)
            payloads.insert(contentsOf: repeatElement(first, count: lacking), at: 0)
        } else {
            payloads.removeFirst(min(payloads.count, Int(last.next.rawValue - answer.first.rawValue)))
        }
        guard !payloads.isEmpty else { return }
        var decoded: [EntityEffect] = []
        for payload in payloads {
            guard let effect = EntityEffect(decoding: payload) else {
                beginAnew(now: now)
                return trouble = "an update after position \(last) is in no format that this version knows"
            }
            decoded.append(effect)
        }
        follow?.effects.append(contentsOf: decoded)
        follow?.bytes += payloads.reduce(0) { $0 + $1.count }
        follow?.last = Position(last.rawValue + UInt64(payloads.count))
        follow?.pending = AppendGroup(shard: shard, epoch: epoch, first: last.next, payloads: payloads)
        follow?.appendAt = now
    }

    /// The log has taken the group.
    public mutating func appendAccepted() {
        guard let state = follow, state.pending != nil else { return }
        follow?.pending = nil
        follow?.submitted = state.last
    }

    /// The log takes nothing now.
    public mutating func appendRefused(now: MonotonicTime) {
        guard follow?.pending != nil else { return }
        follow?.appendAt = now.adding(nanoseconds: backOff.nextPause())
    }

    /// The shard's updates up to `position` are on this node's stable storage.
    public mutating func logDurable(upTo position: Position) {
        if let awaited = unreported {
            if position >= awaited { unreported = nil }
            return
        }
        guard let state = follow else { return }
        precondition(position <= state.submitted, "the log cannot have what it was not given")
        follow?.durable = max(state.durable, position)
    }

    /// The store reads back everything up to `position`.
    public mutating func applied(upTo position: Position) {
        guard follow?.isApplying == true else { return }
        // In place: a copy would be of all that waits.
        follow?.apply(upTo: position)
    }
}
