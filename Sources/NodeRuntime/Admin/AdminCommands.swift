import ClusterCore
import ClusterMetadata
import Entities
import HTTPFront
import HashRing
import JSON
import PeerWire
import Primitives

/// The admin listener's commands (`/v1/admin/…`) and operations. Every node answers them alike: what they read and
/// change lives in the metadata store.
struct AdminCommands: Sendable {
    let view: NodeView

    /// A command is decided anew on a new map where something changed meanwhile, this many times.
    private static let attemptsMax = 8
    /// All that this request asks the metadata store for is over by then: less than clients wait, so that they hear
    /// what it is that does not answer.
    private let deadline = ContinuousClock.now + .milliseconds(Limits.adminMetadataMilliseconds)

    init(view: NodeView) { self.view = view }

    private var metadata: any MetadataStore { view.cluster.metadata }

    /// - Parameter segments: of the path, behind `/v1/admin`.
    func answer(_ segments: [String], _ request: AdminRequest) async -> AdminResponse {
        do {
            guard let route = try AdminRoute(segments, request) else {
                return AdminResponse(Problem(.notFound, "the admin listener has no \(request.path)"))
            }
            guard route.method == request.method else {
                return AdminResponse(
                    Problem(.methodNotAllowed, "\(request.path) answers \(route.method)"),
                    fields: [("Allow", route.allow)])
            }
            return try await run(route)
        } catch let problem as Problem {
            return AdminResponse(problem)
        } catch {
            return AdminResponse(Problem(.shardUnavailable, "\(error)"))
        }
    }

    private func run(_ route: AdminRoute) async throws -> AdminResponse {
        switch route {
        case .plan: return json(200, await document(.rebalance(try await readMap())))
        case .showPlan(let plan):
            let proposal = RebalanceProposal.rebalance(try await readMap())
            guard proposal.plan == plan else {
                throw Problem(
                    .stalePlan, "plan \(plan) is not the plan of the cluster as it is now (that is \(proposal.plan))")
            }
            return json(200, await document(proposal))
        case .dryDrain(let node):
            let map = try await readMap()
            try preflight(.drain(node), map)
            return json(200, await document(.drain(node, map)))
        case .dryRemove(let node):
            try preflight(.remove(node), try await readMap())
            return json(200, .object([("node", .text(node.text)), ("changed", .bool(false))]))
        case .showThrottle:
            return json(
                200, .object([("bytes-per-second", .integer(try await readMap().throttle.bytesPerSecond))]))
        case .command(let command): return try await carryOut(command)
        }
    }

    /// What the real thing would be refused for.
    private func preflight(_ command: AdminCommand, _ map: ClusterMap) throws(Problem) {
        if case .refused(let refusal, let text) = AdminDecision.decide(command, on: map, now: view.cluster.now()) {
            throw Problem(refusal: refusal, text)
        }
    }

    // MARK: Changing

    private func carryOut(_ command: AdminCommand) async throws -> AdminResponse {
        for _ in 0..<Self.attemptsMax {
            let map = try await readMap()
            switch AdminDecision.decide(command, on: map, now: view.cluster.now()) {
            case .refused(let refusal, let text): throw Problem(refusal: refusal, text)
            case .nothingToDo(let operation, let text):
                return await outcome(command, operation, text, changed: false, map)
            case .change(let transaction, let operation):
                guard case .committed = try await run(transaction) else { continue }
                // It is done, whether or not it can be read back.
                return await outcome(command, operation, "", changed: true, (try? await readMap()) ?? map)
            }
        }
        throw Problem(.concurrentChange, "others change the cluster all the time; nothing was changed, try again")
    }

    private func run(_ transaction: MetadataTransaction) async throws -> TransactionOutcome {
        do {
            return try await patiently { try await metadata.transaction(transaction) }
        } catch let error as MetadataError where !error.leavesOutcomeOpen {
            throw Self.unavailable(error)
        } catch is NotAsked {
            throw Self.silent
        } catch is Silence {
            throw Problem(.outcomeUnknown, "the metadata store, etcd, did not answer a change; ask again")
        } catch {
            throw Problem(.outcomeUnknown, "\(error); ask again")
        }
    }

    private func readMap() async throws -> ClusterMap {
        do {
            let read = try await patiently { try await metadata.range(prefix: MetadataKey("")) }
            guard let map = try ClusterMap(read) else {
                throw Problem(.metadataUnavailable, "the metadata store holds no cluster")
            }
            view.cluster.view.update(map)
            return map
        } catch let error as MetadataError {
            throw Self.unavailable(error)
        } catch let error as RecordError {
            throw Problem(.metadataUnavailable, "\(error); nothing was changed")
        } catch is Silence, is NotAsked {
            throw Self.silent
        }
    }

    private static let silent = Problem(
        .metadataUnavailable, "the metadata store, etcd, does not answer; nothing was changed")

    private static func unavailable(_ error: MetadataError) -> Problem {
        if case .unavailable(let detail) = error {
            return Problem(
                .metadataUnavailable, "the metadata store, etcd, does not answer: \(detail); nothing was changed")
        }
        return Problem(.metadataUnavailable, "\(error); nothing was changed")
    }

    /// Time was up with no answer.
    private struct Silence: Error {}

    /// Time was up before there was anything to ask.
    private struct NotAsked: Error {}

    /// - Throws: `Silence` where `body` takes too long; it is cancelled then, and may have happened. `NotAsked` where
    ///   there was no time for it at all.
    private func patiently<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        guard ContinuousClock.now < deadline else { throw NotAsked() }
        return try await withThrowingTaskGroup(of: Value.self) { group in
            group.addTask { try await body() }
            group.addTask {
                try await Task.sleep(until: deadline, clock: .continuous)
                throw Silence()
            }
            defer { group.cancelAll() }
            guard let first = try await group.next() else { throw Silence() }
            return first
        }
    }

    private func outcome(
        _ command: AdminCommand, _ operation: OperationID?, _ text: String, changed: Bool, _ map: ClusterMap
    ) async -> AdminResponse {
        if let operation, let record = map.operation(operation), !command.isAboutState {
            let documents = OperationDocuments(view)
            let isNew = changed && !record.state.isFinished
            var members = await documents.operation(record, map)
            if !text.isEmpty { members.append(("note", .text(text))) }
            return json(isNew ? 202 : 200, .object(members))
        }
        var members: [(String, JSONValue)] = [("changed", .bool(changed))]
        switch command {
        case .cordon(let node), .uncordon(let node), .drain(let node): members.insert(("node", .text(node.text)), at: 0)
        case .throttle(let rate): members.insert(("bytes-per-second", .integer(rate)), at: 0)
        case .commit, .pauseRebalance, .resumeRebalance, .cancelRebalance, .remove, .weight, .move, .pause, .resume,
            .cancel:
            break
        }
        if let operation { members.append(("operation", .text("\(operation)"))) }
        if !text.isEmpty { members.append(("note", .text(text))) }
        return json(200, .object(members))
    }

    // MARK: Showing

    /// `GET /v1/operations/ID`.
    func operation(_ text: String) async -> AdminResponse {
        // What the watch has told will do: whoever began the operation here has read it into this map.
        var map = view.cluster.view.map
        let id = OperationID(text)
        if id.flatMap(map.operation) == nil {
            do {
                map = try await readMap()
            } catch let problem as Problem {
                return AdminResponse(problem)
            } catch {
                return AdminResponse(Problem(.metadataUnavailable, "\(error)"))
            }
        }
        guard let id, let record = map.operation(id) else {
            return AdminResponse(Problem(.notFound, "there is no operation \(text)"))
        }
        return json(200, .object(await OperationDocuments(view).operation(record, map)))
    }

    private func document(_ proposal: RebalanceProposal) async -> JSONValue {
        let reports = await view.survey.reports(view.cluster.view.map)
        let sizes = proposal.moves.map { reports[$0.shard]?.byteCount ?? 0 }
        let moves = zip(proposal.moves, sizes).map { move, bytes in
            JSONValue.object([
                ("shard", .integer(move.shard.rawValue)), ("from", .text(move.from.text)), ("to", .text(move.to.text)),
                ("bytes", .integer(bytes)),
            ])
        }
        return .object([
            ("plan", .text("\(proposal.plan)")), ("map-revision", .integer(proposal.plan.mapRevision.rawValue)),
            ("moves", .list(moves)), ("lower-bound", .integer(proposal.lowerBound)),
            ("bytes", .integer(sizes.reduce(0, +))),
            (
                "quotas",
                .list(
                    proposal.shares.map {
                        .object([
                            ("node", .text($0.node.text)), ("shards", .integer($0.shards)),
                            ("after", .integer($0.after)),
                        ])
                    })
            ),
        ])
    }

    private func json(_ status: Int, _ value: JSONValue) -> AdminResponse {
        AdminResponse(status: status, contentType: "application/json", body: value.encoded() + [0x0A])
    }
}

extension AdminCommand {
    /// Its answer says what changed about a node, whatever operation it touched on the way.
    fileprivate var isAboutState: Bool {
        if case .uncordon = self { true } else { false }
    }
}

extension Problem {
    init(refusal: AdminDecision.Refusal, _ text: String) {
        let code: ProblemCode =
            switch refusal {
            case .refused: .refused
            case .stalePlan: .stalePlan
            case .notFound: .notFound
            case .concurrentChange: .concurrentChange
            }
        self.init(code, text)
    }
}
