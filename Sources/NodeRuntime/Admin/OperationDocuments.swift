import ClusterCore
import Entities
import HashRing
import JSON
import PeerWire
import Primitives

/// Operations as the admin listener shows them.
struct OperationDocuments: Sendable {
    private let view: NodeView

    /// What other nodes say is added up.
    private static let bytesMax: UInt64 = 1 << 48

    init(_ view: NodeView) { self.view = view }

    /// All of them, newest last.
    func all(_ map: ClusterMap, _ reports: [ShardID: ShardReport]) async -> [JSONValue] {
        let isBusy = map.operations.contains { !$0.state.isFinished }
        let progress = isBusy ? await progress(map) : [:]
        return map.operations.map { .object(document($0, map, progress, reports)) }
    }

    func operation(_ record: OperationRecord, _ map: ClusterMap) async -> [(String, JSONValue)] {
        async let progress = progress(map)
        async let reports = view.survey.reports(map)
        return document(record, map, await progress, await reports)
    }

    private func progress(_ map: ClusterMap) async -> [ShardID: ClusterCore.MoveProgress] {
        await view.survey.progress(map).compactMapValues { report in
            guard let operation = OperationID(report.operation) else { return nil }
            return ClusterCore.MoveProgress(
                operation: operation, bytesDone: min(report.bytesDone, Self.bytesMax),
                bytesTotal: min(report.bytesTotal, Self.bytesMax),
                bytesPerSecond: min(report.bytesPerSecond, Self.bytesMax), lag: report.lag, rounds: Int(report.rounds),
                neededBytesPerSecond: report.neededBytesPerSecond == 0 ? nil : report.neededBytesPerSecond)
        }
    }

    private func document(
        _ record: OperationRecord, _ map: ClusterMap, _ progress: [ShardID: ClusterCore.MoveProgress],
        _ reports: [ShardID: ShardReport]
    ) -> [(String, JSONValue)] {
        let operation = OperationView(
            record, in: map, progress: progress, shardBytes: reports.mapValues { min($0.byteCount, Self.bytesMax) })
        var members: [(String, JSONValue)] = [
            ("id", .text("\(record.id)")), ("kind", .text(record.kind.rawValue)),
            ("state", .text(record.state.rawValue)), ("done", .integer(operation.done)),
            ("total", .integer(operation.total)),
        ]
        if let node = record.node { members.append(("node", .text(node.text))) }
        if let plan = record.plan { members.append(("plan", .text("\(plan)"))) }
        members += [
            ("detail", .text(record.detail)), ("bytes-per-second", .integer(record.bytesPerSecond)),
            ("created", .text(record.created.rfc3339)),
        ]
        if let finished = record.finished { members.append(("finished", .text(finished.rfc3339))) }
        members += [
            ("bytes-done", .integer(operation.bytesDone)), ("bytes-total", .integer(operation.bytesTotal)),
            ("rate", .integer(operation.bytesPerSecond)),
        ]
        if let left = operation.etaSeconds { members.append(("eta-seconds", .integer(left))) }
        members.append(("waits-for", .list(operation.waitsFor.map { .text($0) })))
        members.append(("moves", .list(operation.moves.map { .object(move($0)) })))
        return members
    }

    private func move(_ move: OperationView.Move) -> [(String, JSONValue)] {
        var members: [(String, JSONValue)] = [
            ("shard", .integer(move.plan.shard.rawValue)), ("from", .text(move.plan.from.text)),
            ("to", .text(move.plan.to.text)), ("state", .text(move.state.rawValue)),
        ]
        if let progress = move.progress {
            members += [
                ("bytes-done", .integer(progress.bytesDone)), ("bytes-total", .integer(progress.bytesTotal)),
                ("bytes-per-second", .integer(progress.bytesPerSecond)), ("lag", .integer(progress.lag)),
            ]
        }
        if let obstacle = move.waitsFor { members.append(("waits-for", .text(obstacle))) }
        return members
    }
}
