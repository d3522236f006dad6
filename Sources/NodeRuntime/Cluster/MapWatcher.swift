import ClusterCore
import ClusterMetadata
import Logging
import Primitives

/// Keeps the node's ``ClusterView`` up to date: reads the whole map, then follows its changes, for ever.
final class MapWatcher: Sendable {
    private let metadata: any MetadataStore
    private let view: ClusterView
    private let logger: Logger
    private let pulse = Pulse()

    /// Before the watch is begun again after an error.
    private static let retryNanoseconds: UInt64 = 300_000_000
    /// Between two reads of the map that nobody asked for.
    private static let periodNanoseconds: UInt64 = 5_000_000_000
    /// Whoever asks for a read has learnt that the map is old. The watch gets this long to say so by itself: while
    /// shards change hands every request that was turned away asks, and a read of the whole map costs more than all of
    /// what the watch brings.
    private static let watchNanoseconds: UInt64 = 50_000_000

    init(metadata: any MetadataStore, view: ClusterView, logger: Logger) {
        self.metadata = metadata
        self.view = view
        self.logger = logger
    }

    /// Until the task is cancelled.
    func run() async {
        view.whenRefreshIsAsked { [pulse] in pulse.beat() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.follow() }
            group.addTask {
                await self.pulse.drive(every: Self.periodNanoseconds) {
                    let known = self.view.map.revision
                    try? await Task.sleep(nanoseconds: Self.watchNanoseconds)
                    if self.view.map.revision == known { _ = try? await self.read() }
                }
            }
        }
    }

    private func read() async throws -> ClusterState {
        var state = ClusterState(try await metadata.range(prefix: MetadataKey("")))
        if let map = try state.map() { view.update(map) }
        return state
    }

    private func follow() async {
        while !Task.isCancelled {
            do {
                var state = try await read()
                for try await change in metadata.watch(prefix: MetadataKey(""), after: state.revision) {
                    state.advance(by: change)
                    if let map = try state.map() { view.update(map) }
                }
            } catch MetadataError.compacted {
                continue
            } catch {
                logger.debug("the watch of the metadata ended", metadata: ["reason": "\(error)"])
                try? await Task.sleep(nanoseconds: Self.retryNanoseconds)
            }
        }
    }
}
