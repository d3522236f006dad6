import NIOConcurrencyHelpers

/// What the moves of this node have done, for `/metrics`.
final class MoveCounters: Sendable {
    /// Upper ends of the classes of freezes, in milliseconds; the last class has none.
    static let freezeMillisecondsClasses: [UInt64] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]

    struct Values: Sendable {
        /// Freezes by class, each class without those below it.
        var freezes = Array(repeating: UInt64(0), count: freezeMillisecondsClasses.count + 1)
        var freezeNanoseconds: UInt64 = 0
        var shardsIn: UInt64 = 0
        var shardsOut: UInt64 = 0
    }

    private let values = NIOLockedValueBox(Values())

    var now: Values { values.withLockedValue { $0 } }

    /// A shard's requests were held for this long, whether it was then handed over or thawed.
    func noteFreeze(nanoseconds: UInt64) {
        let place = Self.freezeMillisecondsClasses.firstIndex { nanoseconds <= $0 * 1_000_000 }
        values.withLockedValue {
            $0.freezes[place ?? Self.freezeMillisecondsClasses.count] += 1
            $0.freezeNanoseconds += nanoseconds
        }
    }

    func noteShardIn() { values.withLockedValue { $0.shardsIn += 1 } }

    func noteShardOut() { values.withLockedValue { $0.shardsOut += 1 } }
}
