import ClusterCore
import NIOCore
import PeerTransport
import PeerWire
import Primitives
import ShardCore

/// What a move asks the source for.
extension InboundMove {
    /// A peer that asks for nothing for this long after an answer was due is given up by the transport.
    private static let answerSlack = TimeAmount.seconds(1)

    private func ask(
        _ request: PeerRequest, waiting milliseconds: UInt64 = 0, lane: PeerLane, number: UInt64,
        done: @escaping @Sendable (InboundMove, PeerResponse) -> Void
    ) {
        guard let peer = view.address(of: move.from) else {
            return machine.requestFailed(number, now: NodeTime.monotonic())
        }
        let limit = TimeAmount.milliseconds(Int64(Limits.moveAnswerMilliseconds + milliseconds)) + Self.answerSlack
        peers.send(
            request, to: peer, lane: lane, deadline: .now() + limit, on: loop.eventLoop
        ) { outcome in
            switch outcome {
            case .response(.refused(let refusal)) where refusal.code == .unknownSession:
                self.machine.restartAsked(number, now: NodeTime.monotonic())
            case .response(.refused), .notSent, .overloaded, .lost, .timedOut:
                self.machine.requestFailed(number, now: NodeTime.monotonic())
            case .response(let response): done(self, response)
            }
            self.carryOn()
        }
    }

    func requestOpen(_ number: UInt64, _ session: MoveSession) {
        ask(
            .moveOpen(shard: shard, operation: move.operation.description, session: session.rawValue), lane: .bulk,
            number: number
        ) { move, response in
            guard case .manifest(let manifest) = response else {
                return move.machine.requestFailed(number, now: NodeTime.monotonic())
            }
            move.tools.gate.spare(milliseconds: UInt64(manifest.pauseMilliseconds))
            move.machine.opened(
                number, .manifest(epoch: manifest.epoch, files: manifest.moveFiles), now: NodeTime.monotonic())
        }
    }

    func requestChunk(
        _ number: UInt64, _ session: MoveSession, _ file: Int, _ offset: UInt64, _ length: Int
    ) {
        ask(
            .moveFetch(
                shard: shard, session: session.rawValue, file: UInt32(file), offset: offset, length: UInt32(length)),
            lane: .bulk, number: number
        ) { move, response in
            guard case .chunk(let bytes, let crc) = response else {
                return move.machine.requestFailed(number, now: NodeTime.monotonic())
            }
            move.machine.fetched(number, bytes: bytes, crc: crc, now: NodeTime.monotonic())
        }
    }

    func requestPull(
        _ number: UInt64, _ session: MoveSession, _ after: Position, _ durable: Position, _ bytesMax: Int,
        _ wait: UInt64
    ) {
        ask(
            .movePull(
                shard: shard, session: session.rawValue, after: after, durable: durable, bytesMax: UInt32(bytesMax),
                waitMilliseconds: UInt32(wait)), waiting: wait, lane: .requests, number: number
        ) { move, response in
            guard case .records(let records) = response else {
                return move.machine.requestFailed(number, now: NodeTime.monotonic())
            }
            // What has expired at the source must not be there again.
            guard move.follow(time: records.time) else { return }
            move.machine.pulled(number, MovePullAnswer(records), now: NodeTime.monotonic())
        }
    }
}

extension MoveManifest {
    /// Names and sizes were checked as they came in.
    fileprivate var moveFiles: [MoveFile] {
        files.map { MoveFile(name: $0.name, byteCount: $0.byteCount, crc: $0.checksum) }
    }
}

extension MovePullAnswer {
    init(_ records: MoveRecords) {
        let phase: Phase =
            switch records.phase {
            case .streaming: .streaming
            case .frozen(let through): .frozen(through: through)
            case .handedOver(let epoch): .handedOver(epoch)
            case .restart: .restart
            }
        self.init(
            epoch: records.epoch, first: records.first, payloads: records.payloads, applied: records.applied,
            phase: phase)
    }
}
