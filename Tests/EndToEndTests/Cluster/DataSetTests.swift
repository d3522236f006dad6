import Foundation
import Testing

extension Cluster {
    /// A real data set, with the cluster growing and shrinking under it.
    @Suite(.serialized) struct DataSetTests {
        @Test func thePackageRecordsSurviveGrowthAndShrinking() throws {
            try withTestFolder("cluster-packages") { folder in
                let records = try PackageRecords(in: folder)
                let file = try folder.write(
                    "packages.ndjson", Array((records.lines.joined(separator: "\n") + "\n").utf8))
                let cluster = try TestCluster(in: folder.path)
                defer { cluster.stop() }
                try cluster.start(nodes: 2)

                // The third node takes its share while the import runs.
                let imported = try onThreads(2) { index -> ControlResult in
                    if index == 0 {
                        return try cluster.control(
                            "import", "package", file, "--id-field", "Package", through: "n1", seconds: 300)
                    }
                    try cluster.add("n3").start()
                    let plan = try cluster.plan(through: "n2")
                    return try cluster.control(
                        "rebalance", "commit", plan.plan, "--wait", through: "n2", seconds: 300)
                }
                for result in imported { try result.ended() }
                #expect(try cluster.settle().shardsByNode.values.map(\.count).sorted() == [5, 5, 6])

                try cluster.control("node", "drain", "n1", "--wait", through: "n3", seconds: 300).ended()
                try cluster.control("node", "remove", "n1", through: "n3").ended()
                #expect(try cluster.node("n1").stop() != nil)
                #expect(try export(cluster, folder) == records.lines.sorted())
            }
        }

        private func export(_ cluster: TestCluster, _ folder: TestFolder) throws -> [String] {
            let file = "\(folder.path)/exported.ndjson"
            try cluster.control("export", "package", "--to", file, through: "n2", seconds: 300).ended()
            return try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").map(String.init).sorted()
        }
    }
}
