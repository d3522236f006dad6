import Foundation
import Testing

extension Cluster {
    /// Cables that are pulled between nodes, and between a node and the metadata store.
    @Suite(.serialized) struct PartitionTests {
        /// Three nodes and etcd, each on a network of its own.
        private func withNetwork(_ name: String, _ body: (TestCluster, TestNetwork) throws -> Void) throws {
            try withTestFolder("network-\(name)") { folder in
                let network = try TestNetwork(["n1", "n2", "n3", "etcd"], in: folder.path)
                defer { network.remove() }
                let cluster = try TestCluster(in: folder.path, network: network)
                defer { cluster.stop() }
                try cluster.start(nodes: 3)
                try body(cluster, network)
            }
        }

        @Test func nodesThatAreCutFromEachOtherRefuseAndHeal() throws {
            try withNetwork("nodes") { cluster, network in
                let key = try cluster.freshKey("k", on: "n2")
                expectWritten(try cluster.client("n1").put(key, "before"))
                let load = ClusterLoad(cluster, seed: Cluster.seed &+ 2)
                try load.run(window: "before") {
                    try load.awaitProgress(500)
                    load.record.begin(window: "cut")
                    try network.cut("n1", from: "n2")
                    // Through the one that sees both, nothing has changed.
                    expectFound(try cluster.client("n3").get(key), "before")
                    expectWritten(try cluster.client("n3").put(key, "during"))
                    expectFound(try cluster.client("n2").get(key), "during")
                    let blind = try cluster.client("n1").put(key, "blind")
                    #expect(blind.status == 503 || blind.status == 504, "\(blind)")
                    expectWritten(try cluster.client("n1").put(try cluster.freshKey("k", on: "n1"), "own"))
                    try load.awaitProgress(300)
                    try network.heal("n1", from: "n2")
                    let healed = try eventually(within: 60) { try cluster.client("n1").get(key).status == 200 }
                    #expect(healed, "they find each other again")
                    load.record.begin(window: "after")
                    try load.awaitProgress(500)
                }
                print("a cut between two nodes:\n\(load.record.summary)")
                try cluster.settle()
                try load.verify(in: cluster.folder)
            }
        }

        @Test func aNodeThatIsCutFromTheMetadataServesOn() throws {
            try withNetwork("etcd") { cluster, network in
                let load = ClusterLoad(cluster, seed: Cluster.seed &+ 3)
                try load.run(window: "before") {
                    try load.awaitProgress(500)
                    load.record.begin(window: "cut")
                    try network.cut("n2", from: "etcd")
                    try load.awaitProgress(1000)
                    // Longer than its lease.
                    usleep(15_000_000)
                    try load.awaitProgress(500)
                    load.record.begin(window: "after")
                    try network.heal("n2", from: "etcd")
                    try load.awaitProgress(500)
                }
                print("a cut from etcd:\n\(load.record.summary)")
                for window in ["before", "cut", "after"] {
                    let failures = load.record.window(window).failures
                    #expect(failures.isEmpty, "\(window): \(failures)")
                }
                try cluster.settle()
                try load.verify(in: cluster.folder)
            }
        }

        /// The target of a move loses its cable in the middle of it, and later its source.
        @Test func aMoveOutlivesPulledCables() throws {
            try withNetwork("move") { cluster, network in
                let bulk = BulkData(count: 1200, bytes: 8000)
                try bulk.write(through: cluster.endpoint("n1"))
                try cluster.control("throttle", "set", "1000000").ended()
                let operation: OperationPicture = try cluster.control(
                    "node", "drain", "n3", "--output", "json"
                ).ended().read()
                try cluster.awaitPicture("a move") { !$0.moves.isEmpty }
                for id in ["n2", "n3"] {
                    try network.unplug(id)
                    usleep(4_000_000)
                    try network.plug(id)
                    usleep(500_000)
                }
                try cluster.control("throttle", "set", "0").ended()
                try cluster.control("op", "wait", operation.id).ended()
                let settled = try cluster.settle()
                #expect(settled.shardsByNode["n3"]?.isEmpty == true, "\(settled.shardsByNode)")
                for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
            }
        }
    }
}
