import Foundation
import Testing

extension Durability {
    /// A real data set through the tools: one entity a package of the Debian archive.
    @Suite(.serialized) struct PackageRecordsTests {
        private func control(_ node: TestNode, _ folder: TestFolder, _ arguments: String...) throws -> String {
            let place = [
                "--endpoint", "http://127.0.0.1:\(node.port)", "--admin", "http://127.0.0.1:\(node.adminPort)",
            ]
            let result = try ChildProcess.run(Programs.control, arguments + place, in: folder.path, seconds: 240)
            guard result.ending == .exited(0) else {
                throw HarnessError("keysteadctl \(arguments) ended by \(result.ending): \(result.errors)")
            }
            return result.output
        }

        @Test func theyAreImportedListedPatchedAndExportedIdentical() throws {
            try withTestFolder("packages") { folder in
                let records = try PackageRecords(in: folder)
                let file = try folder.write(
                    "packages.ndjson", Array((records.lines.joined(separator: "\n") + "\n").utf8))
                let node = TestNode(in: folder.path, flags: [])
                try node.start()
                _ = try control(node, folder, "import", "package", file, "--id-field", "Package")

                let client = try node.client()
                let listed = try client.listAll("package").compactMap { $0["key"] as? String }
                #expect(listed.count == records.lines.count)
                #expect(Set(listed) == Set(records.byName.keys.map { "package/\($0)" }))
                expectFound(try client.get("package/bash"), try #require(records.byName["bash"]))

                // Killed right after the import; all of it was acknowledged.
                try node.crash()
                try node.start()
                #expect(try node.client().listAll("package").count == records.lines.count)

                // A patch and its reverse leave the same bytes.
                let again = try node.client()
                let patched = try again.patch("package/bash", .merge, #"{"Installed":true}"#)
                expectWritten(patched)
                #expect(try again.get("package/bash").object["Installed"] as? Bool == true)
                expectWritten(try again.patch("package/bash", .merge, #"{"Installed":null}"#))
                try node.crash()
                try node.start()
                #expect(try export(node, folder, "packages-out") == records.lines.sorted())
                #expect(try node.stop() == .exited(0))
            }
        }

        private func export(_ node: TestNode, _ folder: TestFolder, _ name: String) throws -> [String] {
            let file = "\(folder.path)/\(name).ndjson"
            _ = try control(node, folder, "export", "package", "--to", file)
            let text = try String(contentsOfFile: file, encoding: .utf8)
            return text.split(separator: "\n").map(String.init).sorted()
        }
    }
}
