import Entities
import HTTPFront
import HashRing
import LogFiles
import NIOCore
import Primitives
import RocksStore

/// The admin listener's answers (API §2). Names and meanings of their fields are part of the contract.
struct AdminRoutes: Sendable {
    let status: NodeStatus
    /// `nil` until the node has opened its data.
    let view: @Sendable () -> NodeView?
    let metrics: @Sendable (NodeView) async -> String

    func answer(_ request: AdminRequest) async -> AdminResponse {
        let segments = request.path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        switch segments.first {
        case "livez" where segments.count == 1:
            return reading(request) {
                AdminResponse(status: 200, contentType: "text/plain; charset=utf-8", body: Array("ok\n".utf8))
            }
        case "readyz" where segments.count == 1:
            return reading(request, readiness)
        case "metrics" where segments.count == 1:
            guard let view = view() else { return AdminResponse(starting) }
            let text = await metrics(view)
            return reading(request) {
                AdminResponse(
                    status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: Array(text.utf8))
            }
        case "v1" where segments.count >= 2:
            return await resource(Array(segments.dropFirst()), request)
        default:
            return AdminResponse(unknown(request.path))
        }
    }

    private func reading(_ request: AdminRequest, _ body: () -> AdminResponse) -> AdminResponse {
        guard request.method == "GET" || request.method == "HEAD" else {
            return AdminResponse(onlyGet(request.path), fields: [("Allow", "GET, HEAD")])
        }
        return body()
    }

    private func onlyGet(_ path: String) -> Problem { Problem(.methodNotAllowed, "\(path) answers GET") }

    private func readiness() -> AdminResponse {
        let reasons = status.unreadyReasons
        // Reads are served on a full disk, so it is ready all the same, and says what it refuses.
        let remarks = reasons.isEmpty && view()?.isStorageFull == true ? ["storage-full"] : []
        let body = JSONValue.object([
            ("ready", .bool(reasons.isEmpty)), ("reasons", .list((reasons + remarks).map { .text($0) })),
        ])
        return AdminResponse(
            status: reasons.isEmpty ? 200 : 503, contentType: "application/json", body: body.encoded() + [0x0A])
    }

    private func resource(_ segments: [String], _ request: AdminRequest) async -> AdminResponse {
        let path = request.path
        guard let view = view() else { return AdminResponse(starting) }
        if segments[0] == "admin" {
            return await AdminCommands(view: view).answer(Array(segments.dropFirst()), request)
        }
        guard request.method == "GET" else { return AdminResponse(onlyGet(path), fields: [("Allow", "GET, HEAD")]) }
        switch segments[0] {
        case "cluster" where segments.count == 1:
            return json(await view.clusterDocument())
        case "shards" where segments.count == 2:
            guard let number = UInt32(segments[1]), Int(number) < view.table.ring.shardCount else {
                return AdminResponse(
                    Problem(
                        .notFound,
                        "there is no shard \(segments[1]); they go from 0 to \(view.table.ring.shardCount - 1)"))
            }
            return json(await view.shardDocument(ShardID(number)))
        case "where" where segments.count >= 2:
            do {
                let prefix = "/v1/where/"
                guard path.hasPrefix(prefix) else { return AdminResponse(unknown(path)) }
                let key = try EntityKey(path: Array(path.utf8)[prefix.utf8.count...], seed: view.membership.ringSeed)
                return json(view.place(of: key))
            } catch {
                return AdminResponse(error)
            }
        case "operations" where segments.count == 2:
            return await AdminCommands(view: view).operation(segments[1])
        default:
            return AdminResponse(unknown(path))
        }
    }

    private func json(_ value: JSONValue) -> AdminResponse {
        AdminResponse(status: 200, contentType: "application/json", body: value.encoded() + [0x0A])
    }

    private var starting: Problem { Problem(.shardUnavailable, "the node is starting") }

    private func unknown(_ path: String) -> Problem {
        Problem(
            .notFound,
            "the admin listener has no \(path); it has /livez, /readyz, /metrics, /v1/cluster, /v1/shards/N, "
                + "/v1/where/KIND/ID and /v1/operations/ID"
                + (path.hasPrefix("/v1/entities") ? "; entities are on the listener for data" : ""))
    }
}
