import ClusterCore
import HashRing
import Primitives
import Testing

@Suite struct OperationRecordTests {
    /// The values as they stand in the store, kept for ever.
    @Test func goldenRecords() throws {
        let operation = OperationRecord(
            id: "op-3", kind: .rebalance, state: .running, plan: PlanID("p17-00c0ffee"),
            moves: [
                PlannedMove(shard: ShardID(9), from: .named("n2"), to: .named("n3")),
                PlannedMove(shard: ShardID(4), from: .named("n1"), to: .named("n3")),
            ], bytesPerSecond: 1 << 20, created: Timestamp(milliseconds: 5), detail: "a \"quote\"/\u{1}")
        try check(
            operation,
            #"{"bytes-per-second":1048576,"created-ms":5,"detail":"a \"quote\"/\u0001","format":1,"id":"op-3","#
                + #""kind":"rebalance","moves":[{"from":"n1","shard":4,"to":"n3"},{"from":"n2","shard":9,"to":"n3"}],"#
                + #""plan":"p17-00c0ffee","state":"running"}"#)
        let drain = OperationRecord(
            id: "op-4", kind: .drain, state: .done, node: .named("n1"), created: .zero,
            finished: Timestamp(milliseconds: Limits.timeMillisecondsMax))
        try check(
            drain,
            #"{"bytes-per-second":0,"created-ms":0,"detail":"","finished-ms":253402300799999,"format":1,"#
                + #""id":"op-4","kind":"drain","moves":[],"node":"n1","state":"done"}"#)
        try check(Throttle(bytesPerSecond: 10), #"{"bytes-per-second":10,"format":1}"#)
        try check(ControllerSeat(node: .named("n1")), #"{"format":1,"node":"n1"}"#)
        try check(NodeSession(bootCount: 4), #"{"boots":4,"format":1}"#)
    }

    private func check<Record: MetadataRecord & Equatable>(_ record: Record, _ json: String) throws {
        #expect(String(decoding: record.encoded(), as: UTF8.self) == json)
        #expect(try Record(decoding: Array(json.utf8), of: .config) == record)
        let extended = json.dropLast() + #","member-of-a-later-version":[{}]}"#
        #expect(try Record(decoding: Array(extended.utf8), of: .config) == record)
        let newer = json.replacing(#""format":1"#, with: #""format":2"#)
        #expect(throws: RecordError.unsupportedFormat(key: .config, found: 2, known: 1)) {
            try Record(decoding: Array(newer.utf8), of: .config)
        }
    }

    @Test(arguments: [
        #"{"kind":"rebalance"}"#,
        #"{"bytes-per-second":0,"created-ms":0,"detail":"","format":1,"id":"op-4","kind":"drain","#
            + #""moves":[1],"state":"done"}"#,
        #"{"bytes-per-second":0,"created-ms":0,"detail":"","format":1,"id":"op-5","kind":"drain","#
            + #""moves":[],"state":"done"}"#,
        #"{"bytes-per-second":0,"created-ms":0,"detail":"","format":1,"id":"op-4","kind":"drain","moves":"#
            + #"[{"from":"a","shard":1,"to":"b"},{"from":"a","shard":1,"to":"c"}],"state":"done"}"#,
    ])
    func malformedOperationsAreRefused(text: String) {
        #expect(throws: RecordError.self) {
            try OperationRecord(decoding: Array(text.utf8), of: .operation("op-4"))
        }
    }

    @Test func names() {
        #expect(OperationID(String("op-17"))?.number == 17)
        for text in ["", "op-", "op-017", "op--1", "op-+1", "17", "op-x"] { #expect(OperationID(text) == nil) }
        #expect(MetadataKey.operation("op-2").operationID == "op-2")
        #expect(MetadataKey("operations/2").operationID == nil)
        let plan = PlanID(mapRevision: MapRevision(3), movesHash: 0xAB)
        #expect(plan.description == "p3-000000ab")
        #expect(PlanID("p3-000000ab") == plan)
        for text in ["", "p", "p3", "p3-ab", "p3-000000AB", "3-000000ab", "p03-000000ab", "p3-000000ab-"] {
            #expect(PlanID(text) == nil, "\(text)")
        }
    }
}
