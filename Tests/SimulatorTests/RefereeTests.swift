import Entities
import Primitives
import Testing

@testable import Simulator

/// Both checkers against histories that are known to be good or bad.
@Suite struct RefereeTests {
    private let key: EntityKey

    init() throws {
        key = try EntityKey(plain: Array("a/1".utf8)[...], seed: 0)
    }

    private func write(_ id: UInt64, _ invoked: UInt64, _ returned: UInt64?) -> History.Operation {
        let put = WriteOperation(
            key: key, action: .put(state: OperationID.plainState(id, filler: 0), contentType: [], ttlSeconds: nil))
        var operation = operation(.write(put), invoked)
        operation.returned = returned
        if returned != nil {
            operation.answer = .written(
                status: 204, version: Position(id), place(id), representation: nil, replayed: false)
        } else {
            operation.mayStillRun = true
        }
        return operation
    }

    private func read(_ id: UInt64, _ invoked: UInt64, _ returned: UInt64) -> History.Operation {
        var operation = operation(.read(ReadRequest(key: key, kind: .entity(.none), inQueueOrder: false)), invoked)
        operation.returned = returned
        if id == 0 {
            operation.answer = .refused(Problem(.notFound, "absent"), currentVersion: nil, place(0))
        } else {
            let record = StoredRecord(
                version: Position(id), updatedAt: .zero, expiresAt: nil, contentType: [],
                state: OperationID.plainState(id, filler: 0))
            operation.answer = .found(record, place(id))
        }
        return operation
    }

    private func operation(_ line: Line, _ invoked: UInt64) -> History.Operation {
        History.Operation(
            line: line, client: .client(0), lineIndex: 0, request: invoked, invoked: invoked, invokedTime: 0)
    }

    private func place(_ position: UInt64) -> ShardPosition {
        ShardPosition(shard: ShardID(0), position: Position(position))
    }

    @Test func goodHistoriesPass() {
        #expect(Referee.judge([write(1, 1, 4), read(0, 2, 3), read(1, 5, 6)]) == .linearizable)
        #expect(Referee.judge([write(1, 1, 10), write(2, 2, 9), read(2, 3, 4), read(1, 5, 6)]) == .linearizable)
        #expect(Referee.judge([write(1, 1, 2), write(2, 3, nil), read(1, 4, 5), read(2, 6, 7)]) == .linearizable)
    }

    @Test func badHistoriesFail() {
        // Read what was replaced before the read began.
        #expect(Referee.judge([write(1, 1, 2), write(2, 3, 4), read(1, 5, 6)]) == .notLinearizable)
        // Lost.
        #expect(Referee.judge([write(1, 1, 2), read(0, 3, 4)]) == .notLinearizable)
        // Two readers see two orders.
        #expect(
            Referee.judge([write(1, 1, 20), write(2, 2, 19), read(1, 3, 4), read(2, 5, 6), read(1, 7, 8)])
                == .notLinearizable)
        // Nobody wrote it.
        #expect(Referee.judge([read(9, 1, 2)]) == .notLinearizable)
    }
}
