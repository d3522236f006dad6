public import ClusterCore
internal import Primitives

/// A node's way into a cluster that exists already.
public enum ClusterJoining {
    /// Registers a new node, and reads the cluster as it is with it. Safe to repeat, and against another process with
    /// the same name at the same time: one of the two is refused.
    ///
    /// - Parameter node: counts one start; its store id is on its disk already, so that a crash leaves no record of
    ///   data that is not there.
    /// - Throws: `StartRefusal`; `RecordError`; `MetadataError`, of which `unavailable` also says that there is no
    ///   cluster or that the registry changes too fast.
    public static func join(
        _ node: NodeRecord, clusterName: String, in store: any MetadataStore
    ) async throws -> ClusterMap {
        for _ in 0..<Limits.joiningAttemptsMax {
            guard let map = try await ClusterMap(store.range(prefix: MetadataKey(""))) else {
                throw MetadataError.unavailable(detail: "it holds no cluster to join")
            }
            guard let transaction = try NodeStart.joining(node, clusterName: clusterName, map: map) else { return map }
            do throws(MetadataError) {
                _ = try await store.transaction(transaction)
            } catch {
                guard error.leavesOutcomeOpen else { throw error }
            }
            // Whatever came of it, the next reading tells.
        }
        throw MetadataError.unavailable(detail: "node \(node.id) could not be registered")
    }
}
