import Logging
import NIOConcurrencyHelpers
import Primitives
import RocksStore
import Synchronization

/// The stores that were stopped by an error that passes, and have not gone on. What is told of them is told once. Any
/// thread.
final class WaitingStores: Sendable {
    private struct State {
        var forSpace: Set<ShardID> = []
        var forDescriptors: Set<ShardID> = []
    }

    private let state = NIOLockedValueBox(State())
    private let waitsForSpace = Synchronization.Atomic<Bool>(false)
    private let waitsForDescriptors = Synchronization.Atomic<Bool>(false)
    private let logger: Logger

    init(logger: Logger) { self.logger = logger }

    var forSpace: Bool { waitsForSpace.load(ordering: .relaxed) }
    var forDescriptors: Bool { waitsForDescriptors.load(ordering: .relaxed) }

    func waits(_ shard: ShardID, _ error: StoreError) {
        if case .noDescriptors = error {
            change { $0.forDescriptors.insert(shard) }
        } else {
            change { $0.forSpace.insert(shard) }
        }
    }

    func goesOn(_ shard: ShardID) {
        change { state in
            state.forSpace.remove(shard)
            state.forDescriptors.remove(shard)
        }
    }

    private func change(_ body: (inout State) -> Void) {
        state.withLockedValue { state in
            body(&state)
            tell(waitsForSpace, !state.forSpace.isEmpty, "disk space")
            tell(waitsForDescriptors, !state.forDescriptors.isEmpty, "file descriptors")
        }
    }

    private func tell(_ flag: borrowing Synchronization.Atomic<Bool>, _ now: Bool, _ what: String) {
        guard flag.exchange(now, ordering: .relaxed) != now else { return }
        if now {
            logger.error("stores wait for \(what): what they have in memory stays there and in the log")
        } else {
            logger.notice("no store waits for \(what) any more")
        }
    }
}
