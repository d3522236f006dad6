import Synchronization

/// How many requests callers have sent to this node, through whichever node they came. Any thread.
final class CallCount: Sendable {
    private let calls = Atomic<UInt64>(0)

    var count: UInt64 { calls.load(ordering: .relaxed) }

    func note() { calls.wrappingAdd(1, ordering: .relaxed) }
}
