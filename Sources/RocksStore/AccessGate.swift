internal import Synchronization

/// Lets calls in while the store is open and lets `close` wait until the last of them has left.
///
/// One atomic add each way on the reading path; nobody blocks but the closer.
struct AccessGate: ~Copyable, Sendable {
    private static let closedBit = 1 << 62

    /// Calls inside, plus `closedBit` once closing has begun.
    private let state = Atomic<Int>(0)

    /// False when the store is closed or closing; then `leave` must not be called.
    func enter() -> Bool {
        if state.wrappingAdd(1, ordering: .acquiring).newValue & Self.closedBit == 0 { return true }
        state.wrappingSubtract(1, ordering: .releasing)
        return false
    }

    func leave() { state.wrappingSubtract(1, ordering: .releasing) }

    /// Shuts the gate. True for exactly one caller.
    func close() -> Bool {
        state.bitwiseOr(Self.closedBit, ordering: .acquiringAndReleasing).oldValue & Self.closedBit == 0
    }

    /// Whether the gate is shut and everyone has left.
    var isDrained: Bool { state.load(ordering: .acquiring) == Self.closedBit }
}
