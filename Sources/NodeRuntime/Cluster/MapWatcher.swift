import ClusterCore
import ClusterMetadata
import Logging
import NIOConcurrencyHelpers
import Primitives

/// Keeps the node's ``ClusterView`` up to date: reads the whole map, then follows its changes, for ever.
final class MapWatcher: Sendable {
    private let metadata: any MetadataStore
    private let view: ClusterView
    private let logger: Logger
    private let pulse = Pulse()
    private let trouble = NIOLockedValueBox<String?>(nil)

    /// Before the watch is begun again after an error.
    private static let retryNanoseconds: UInt64 = 300_000_000
    /// Between two reads of the map that nobody asked for.
    private static let periodNanoseconds: UInt64 = 5_000_000_000

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
                var gap = ReadGap()
                await self.pulse.drive(every: Self.periodNanoseconds) {
                    let known = self.view.map.revision
                    try? await Task.sleep(nanoseconds: gap.nanoseconds(now: NodeTime.monotonic()))
                    guard self.view.map.revision == known else { return gap.changed() }
                    do { _ = try await self.read() } catch { self.sayOnce("\(error)") }
                    gap.wasRead(anew: self.view.map.revision != known, now: NodeTime.monotonic())
                }
            }
        }
    }

    /// It answers, and what it says can be read.
    private func isWell() {
        guard
            trouble.withLockedValue({ trouble in
                defer { trouble = nil }
                return trouble != nil
            })
        else { return }
        logger.notice("the metadata store answers again")
    }

    /// What is wrong with the metadata store, once for as long as it stays so.
    private func sayOnce(_ reason: String) {
        // A node that stops ends its own watch.
        guard !Task.isCancelled else { return }
        let isNews = trouble.withLockedValue { trouble in
            defer { trouble = trouble ?? reason }
            return trouble == nil
        }
        guard isNews else { return }
        logger.warning(
            "the metadata store cannot be followed: what runs goes on, changes wait", metadata: ["reason": "\(reason)"])
    }

    private static let otherCluster =
        "its record of the cluster's configuration is not the one that this node was started with"

    /// False: what never changes about the cluster has changed, and the node keeps to what it knows.
    private func take(_ state: inout ClusterState) throws -> Bool {
        guard let map = try state.map() else { return true }
        return view.update(map)
    }

    private func read() async throws -> ClusterState {
        let known = view.map.revision
        var state = ClusterState(try await metadata.range(prefix: MetadataKey("")))
        view.noteContact()
        let isOurs = try take(&state)
        if !isOurs {
            sayOnce(Self.otherCluster)
        } else if state.revision < known {
            sayOnce("it was put back to an older state: revision \(state.revision) after \(known)")
        } else {
            isWell()
        }
        return state
    }

    private func follow() async {
        while !Task.isCancelled {
            do {
                var state = try await read()
                for try await change in metadata.watch(prefix: MetadataKey(""), after: state.revision) {
                    view.noteContact()
                    state.advance(by: change)
                    if try !take(&state) { sayOnce(Self.otherCluster) }
                }
            } catch MetadataError.compacted {
                continue
            } catch {
                sayOnce("\(error)")
                try? await Task.sleep(nanoseconds: Self.retryNanoseconds)
            }
        }
    }
}

/// How long whoever asks for a read has to wait. Somebody has learnt that the map is old, and the watch gets a moment
/// to say so by itself: while shards change hands every request that was turned away asks, and a read of the whole map
/// costs more than all of what the watch brings. Where reads bring nothing new, as while an owner is dead and callers
/// go on asking for it, they come more and more rarely.
private struct ReadGap {
    private static let shortest: UInt64 = 50_000_000
    private static let longest: UInt64 = 2_000_000_000

    private var gap = shortest
    private var lastRead = MonotonicTime.zero

    mutating func nanoseconds(now: MonotonicTime) -> UInt64 {
        // Nobody has asked for a while: what was learnt then is over.
        if now.nanoseconds(since: lastRead) > 2 * Self.longest { gap = Self.shortest }
        return gap
    }

    mutating func changed() { gap = Self.shortest }

    mutating func wasRead(anew: Bool, now: MonotonicTime) {
        lastRead = now
        gap = anew ? Self.shortest : min(2 * gap, Self.longest)
    }
}
