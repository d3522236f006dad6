import Entities
import HTTPFront
import HashRing
import JSON
import LogFiles
import NIOCore
import Primitives
import RocksStore

/// The admin listener's answers (Contract §2). Names and meanings of their fields are part of the contract.
struct AdminRoutes: Sendable {
    let status: NodeStatus
    /// `nil` until the node has opened its data.
    let view: @Sendable () -> NodeView?
    let metrics: @Sendable (NodeView) async -> String

    /// Paths are taken as they stand: nothing is decoded, no slash is doubled or left over, and no dots are resolved. A
    /// key behind ``wherePrefix`` is read as the entity routes read it.
    func answer(_ request: AdminRequest) async -> AdminResponse {
        let isAboutKey = request.path.hasPrefix(Self.wherePrefix)
        let segments = request.path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        guard request.path.hasPrefix("/"), isAboutKey || !segments.contains("") else {
            return AdminResponse(unknown(request.path))
        }
        switch segments.first {
        case "livez" where segments.count == 1:
            return reading(request) {
                AdminResponse(status: 200, contentType: "text/plain; charset=utf-8", body: Array("ok\n".utf8))
            }
        case "readyz" where segments.count == 1:
            return reading(request, readiness)
        case "metrics" where segments.count == 1:
            if let objection = objection(to: request) { return objection }
            guard let view = view() else { return AdminResponse(starting) }
            return AdminResponse(
                status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8",
                body: Array(await metrics(view).utf8))
        case "v1" where segments.count >= 2:
            return await resource(Array(segments.dropFirst()), request)
        default:
            return AdminResponse(unknown(request.path))
        }
    }

    private static let wherePrefix = "/v1/where/"

    private func reading(_ request: AdminRequest, _ body: () -> AdminResponse) -> AdminResponse {
        objection(to: request) ?? body()
    }

    /// Why it cannot be read; `nil` where it can. Reads have no query.
    private func objection(to request: AdminRequest) -> AdminResponse? {
        guard request.method == "GET" else {
            let problem = Problem(.methodNotAllowed, "\(request.path) answers GET")
            return AdminResponse(problem, fields: [("Allow", "GET, HEAD")])
        }
        do {
            try AdminQuery(request).allow()
        } catch {
            return AdminResponse(error)
        }
        return nil
    }

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
        if let objection = objection(to: request) { return objection }
        switch segments[0] {
        case "cluster" where segments.count == 1:
            return json(await view.clusterDocument())
        case "shards" where segments.count == 2:
            let number = StrictNumber.whole(segments[1])
            guard let number, number < UInt64(view.table.ring.shardCount) else {
                return AdminResponse(
                    Problem(
                        .notFound,
                        "there is no shard \(segments[1]); they go from 0 to \(view.table.ring.shardCount - 1)"))
            }
            return json(await view.shardDocument(ShardID(UInt32(number))))
        case "where" where segments.count >= 2:
            do {
                let text = Array(path.utf8)[Self.wherePrefix.utf8.count...]
                return json(view.place(of: try EntityKey(path: text, seed: view.membership.ringSeed)))
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
