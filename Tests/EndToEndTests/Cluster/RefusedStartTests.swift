import Foundation
import Testing

extension Cluster {
    /// Whoever does not belong to the cluster does not start, changes nothing, and says why in one line.
    @Suite(.serialized) struct RefusedStartTests {
        private func refusal(_ node: TestNode) throws -> String {
            let process = try node.launch()
            let ending = try #require(process.wait(seconds: 40), "it went on:\n\(process.errors)")
            #expect(ending == .exited(3), "refused (Contract §3.2): \(ending)\n\(process.errors)")
            let lines = process.errors.split(separator: "\n").filter { $0.hasPrefix("keystead:") }
            #expect(lines.count == 1, "one clear line:\n\(process.errors)")
            return process.errors
        }

        @Test func whoDoesNotBelongIsRefused() throws {
            try withCluster("strangers", nodes: 2) { cluster in
                let bulk = BulkData(count: 100, bytes: 500)
                try bulk.write(through: cluster.endpoint("n1"))
                let before = try cluster.settle()

                // Another process under the name of a node that runs, with an empty directory.
                #expect(try refusal(cluster.make("n2", folder: "twin")).contains("n2"))

                // The directory of one node under the name of another, and of a node that does not run.
                try cluster.crash("n2")
                let directory = try cluster.node("n2").dataDirectory
                #expect(try refusal(cluster.make("n1", folder: "mask", dataDirectory: directory)).contains("n1"))
                let renamed = try refusal(cluster.make("n7", folder: "renamed", dataDirectory: directory))
                #expect(renamed.contains("n7") || renamed.contains("n2"))

                // The right directory and the wrong cluster.
                let elsewhere = try cluster.make("n2", folder: "elsewhere", dataDirectory: directory, cluster: "other")
                #expect(try refusal(elsewhere).contains("other"))

                // A known node that has lost its data must not serve emptiness.
                #expect(try refusal(cluster.make("n2", folder: "empty")).contains("n2"))

                // A directory that was restored from an old copy.
                let copy = "\(cluster.folder)/copy"
                try FileManager.default.copyItem(atPath: directory, toPath: copy)
                try cluster.restart("n2")
                try cluster.crash("n2")
                #expect(try refusal(cluster.make("n2", folder: "old", dataDirectory: copy)).contains("n2"))

                // None of it has done any harm.
                try cluster.restart("n2")
                let after = try cluster.settle()
                #expect(after.placement == before.placement)
                #expect(after.nodes.map(\.id) == before.nodes.map(\.id))
                for endpoint in cluster.endpoints { try bulk.verify(through: endpoint) }
            }
        }

        /// The directory of a lone node belongs to no cluster.
        @Test func aLoneNodesDirectoryIsForeign() throws {
            try withCluster("lone", nodes: 1) { cluster in
                let lone = TestNode(in: "\(cluster.folder)", dataDirectory: "\(cluster.folder)/lone")
                try lone.start()
                #expect(try lone.client().put("k/a", "mine").status == 204)
                #expect(try lone.stop() == .exited(0))
                let text = try refusal(cluster.make("n5", folder: "n5", dataDirectory: lone.dataDirectory))
                #expect(text.contains("cluster"), "\(text)")
                try lone.start()
                expectFound(try lone.client().get("k/a"), "mine")
                try lone.crash()
            }
        }

        @Test func withoutTheMetadataStoreANodeDoesNotStart() throws {
            try withCluster("blind", nodes: 1) { cluster in
                try cluster.crash("n1")
                try cluster.etcd.crashAll()
                try cluster.node("n1").launch()
                usleep(1_000_000)
                #expect(try cluster.node("n1").stop(within: 15) == .exited(0), "one that waits can be stopped")
                let process = try cluster.node("n1").launch()
                _ = process.wait(seconds: 5)
                #expect((try? cluster.endpoint("n1").admin("/readyz"))?.status != 200)
                try cluster.etcd.heal()
                try cluster.heal()
                try cluster.settle()
            }
        }
    }
}
