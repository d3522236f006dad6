import Testing

extension Cluster {
    /// What the other tests stand on.
    @Suite(.serialized) struct HarnessTests {
        @Test func threeMembersOfEtcdOutliveOne() throws {
            try withTestFolder("etcd") { folder in
                let etcd = try TestEtcd(in: folder.path, members: 3)
                defer { etcd.stop() }
                try etcd.start()
                try etcd.crash(0)
                #expect(!etcd.answers(0))
                #expect(eventually(within: 20) { etcd.answers(1) && etcd.answers(2) })
                try etcd.pause(1)
                #expect(!etcd.answers(2), "one of three decides nothing")
                try etcd.heal()
            }
        }

        /// The load and its check, where there is nothing to route and nothing moves.
        @Test func theLoadHoldsOnOneNodeThroughAKill() throws {
            try withTestFolder("load") { folder in
                let node = TestNode(in: folder.path, keepsPorts: true)
                try node.start()
                let endpoint = Endpoint(id: "n1", host: node.host, port: node.port, adminPort: node.adminPort)
                let load = ClusterLoad({ [endpoint] }, seed: 1)
                try load.run(window: "calm") { try load.awaitProgress(1500) }
                #expect(load.record.window("calm").failures.isEmpty, "\(load.record.summary)")
                try load.verify(in: folder.path)
                try load.run(window: "killed") {
                    try load.awaitProgress(300)
                    try node.crash()
                    try node.start()
                    try load.awaitProgress(1000)
                }
                #expect(load.record.window("killed").failed > 0, "\(load.record.summary)")
                try load.verify(in: folder.path)
                let bulk = BulkData(count: 300, bytes: 4000)
                try bulk.write(through: endpoint)
                try bulk.verify(through: endpoint)
                try node.crash()
            }
        }
    }
}
