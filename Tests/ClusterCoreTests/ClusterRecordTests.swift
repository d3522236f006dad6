import ClusterCore
import HashRing
import Primitives
import Testing

private func id(_ text: String) throws -> NodeID { try #require(NodeID(text)) }

@Suite struct ClusterRecordTests {
    static let cluster = UniqueID(high: 0x0123_4567_89AB_CDEF, low: 1)

    /// The values as they stand in the store, kept for ever.
    @Test func goldenRecords() throws {
        let config = ClusterConfig(
            name: "orders", clusterID: Self.cluster, shardCount: 64, hash: RingHash(seed: .max),
            created: Timestamp(milliseconds: 1_700_000_000_123))
        try check(
            config,
            #"{"cluster":"0123456789abcdef0000000000000001","created-ms":1700000000123,"format":1,"hash":"xxh64","#
                + #""hash-seed":"ffffffffffffffff","hash-version":1,"name":"orders","shards":64}"#)
        let node = NodeRecord(
            id: try id("n1"), storeID: Self.cluster, bootCount: 3, state: .active, zone: "a",
            weight: NodeWeight(thousandths: 1500), addresses: NodeAddresses(listen: "127.0.0.1:7070", admin: "h:1"))
        try check(
            node,
            #"{"admin":"h:1","boots":3,"format":1,"id":"n1","listen":"127.0.0.1:7070","peer":"","state":"active","#
                + #""store":"0123456789abcdef0000000000000001","weight-thousandths":1500,"zone":"a"}"#)
        let shard = ShardRecord(
            epoch: Epoch(7), primary: try id("n2"), replicas: [try id("n2"), try id("n1")], inSync: [try id("n2")],
            move: ShardMove(stage: .catchUp, from: try id("n2"), to: try id("n1"), operation: "op-3"))
        try check(
            shard,
            #"{"epoch":7,"format":1,"in-sync":["n2"],"#
                + #""move":{"from":"n2","operation":"op-3","stage":"catch-up","to":"n1"},"#
                + #""primary":"n2","replicas":["n1","n2"]}"#)
        try check(MapRevision(5), #"{"format":1,"revision":5}"#)
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
        "", "{}", "[]", #"{"format":1}"#, #"{"format":"1","revision":5}"#, #"{"format":1,"revision":-1}"#,
        #"{"format":1,"revision":5"#,
    ])
    func malformedRecordsAreRefused(text: String) {
        let error = #expect(throws: RecordError.self) { try MapRevision(decoding: Array(text.utf8), of: .mapRevision) }
        guard case .malformed(.mapRevision, _) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test(arguments: [
        #"{"epoch":1,"format":1,"in-sync":["n1"],"primary":"n1","replicas":["n2"]}"#,
        #"{"epoch":1,"format":1,"in-sync":["n2"],"primary":"n1","replicas":["n1","n2"]}"#,
        #"{"epoch":1,"format":1,"in-sync":["n1","n3"],"primary":"n1","replicas":["n1","n2"]}"#,
        #"{"epoch":1,"format":1,"in-sync":["n 1"],"primary":"n 1","replicas":["n 1"]}"#,
    ])
    func impossibleShardsAreRefused(text: String) {
        #expect(throws: RecordError.self) { try ShardRecord(decoding: Array(text.utf8), of: .shard(ShardID(1))) }
    }

    /// Numbers that would run over as they are counted on, and texts that would not go back into a value.
    @Test func numbersAndTextsAreBounded() throws {
        func refuses<Record: MetadataRecord>(_ type: Record.Type, _ json: String) -> Bool {
            (try? Record(decoding: Array(json.utf8), of: .config)) == nil
        }
        let end = "18446744073709551615"
        let next = "\(Limits.counterMax + 1)"
        for number in [end, next] {
            #expect(refuses(MapRevision.self, #"{"format":1,"revision":\#(number)}"#))
            #expect(refuses(NodeSession.self, #"{"boots":\#(number),"format":1}"#))
            #expect(
                refuses(
                    ShardRecord.self,
                    #"{"epoch":\#(number),"format":1,"in-sync":["n1"],"primary":"n1","replicas":["n1"]}"#))
            #expect(OperationID("op-\(number)") == nil)
        }
        #expect(OperationID("op-\(Limits.counterMax)")?.next.number == Limits.counterMax + 1)
        let nodes = (1...17).map { #""n\#($0)""# }.joined(separator: ",")
        #expect(
            refuses(
                ShardRecord.self,
                #"{"epoch":1,"format":1,"in-sync":["n1"],"primary":"n1","replicas":[\#(nodes)]}"#))
        let long = String(repeating: "z", count: Limits.recordTextBytesMax + 1)
        #expect(
            refuses(
                NodeRecord.self,
                #"{"admin":"","boots":3,"format":1,"id":"n1","listen":"","peer":"","state":"active","#
                    + #""store":"0123456789abcdef0000000000000001","weight-thousandths":1,"zone":"\#(long)"}"#))
        for shard in ["4096", end] {
            #expect(
                refuses(
                    OperationRecord.self,
                    #"{"bytes-per-second":0,"created-ms":1,"detail":"","format":1,"id":"op-1","kind":"move","#
                        + #""moves":[{"from":"n1","shard":\#(shard),"to":"n2"}],"state":"running"}"#))
        }
        #expect(
            refuses(
                ClusterConfig.self,
                #"{"cluster":"0123456789abcdef0000000000000001","created-ms":1,"format":1,"hash":"xxh64","#
                    + #""hash-seed":"ffffffffffffffff","hash-version":1,"name":"o","shards":8192}"#))
        #expect(MetadataRevision(.max).next == MetadataRevision(.max))
    }

    @Test func keysNameWhatTheyHold() throws {
        #expect(MetadataKey.shard(ShardID(17)).text == "shards/17")
        #expect(MetadataKey("shards/17").shardID == ShardID(17))
        for text in ["shards/", "shards/017", "shards/-1", "shards/x", "shards/4294967296", "nodes/17"] {
            #expect(MetadataKey(text).shardID == nil, "\(text)")
        }
        #expect(MetadataKey("nodes/n1").nodeID == (try id("n1")))
        #expect(MetadataKey("sessions/n1").nodeID == (try id("n1")))
        #expect(MetadataKey("nodes/").nodeID == nil)
    }

    @Test func uniqueIDs() {
        var random = SplitMix64(seed: 1)
        let made = UniqueID(random: &random)
        #expect(UniqueID(made.description) == made)
        #expect(UniqueID(high: 0, low: 10).description == "0000000000000000000000000000000a")
        for text in ["", "a", "+123456789abcdef0123456789abcdef", "g123456789abcdef0123456789abcdef0"] {
            #expect(UniqueID(text) == nil)
        }
    }
}
