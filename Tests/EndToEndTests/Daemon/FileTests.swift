import Foundation
import Glibc
import Testing

extension Daemon {
    /// What a node writes is its user's alone, and its secrets show nowhere.
    @Suite(.serialized) struct FileTests {
        private func modes(_ path: String) throws -> [String: mode_t] {
            var found: [String: mode_t] = [:]
            for name in try FileManager.default.subpathsOfDirectory(atPath: path) + [""] {
                var status = stat()
                // A file of the running store may go in between.
                if lstat("\(path)/\(name)", &status) == 0 { found[name] = status.st_mode & 0o777 }
            }
            return found
        }

        @Test(arguments: ["000", "022"])
        func nobodyElseCanReadOrChangeAnything(umask: String) throws {
            try withTestFolder("modes") { folder in
                let node = TestNode(
                    in: folder.path, launcher: ["/bin/sh", "-c", "umask \(umask); exec \"$@\"", "sh"])
                #expect(mkdir(node.dataDirectory, 0o700) == 0 && chmod(node.dataDirectory, 0o755) == 0)
                try node.start()
                let client = try node.client()
                for number in 0..<64 { expectWritten(try client.put("e/\(number)", "secret")) }
                let open = try modes(node.dataDirectory).filter { $0.value & 0o027 != 0 }
                #expect(open.isEmpty, "\(open)")
                #expect(node.log.contains("closed to them now"))
                #expect(try node.stop() == .exited(0))
                let left = try modes(node.dataDirectory).filter { $0.value & 0o027 != 0 }
                #expect(left.isEmpty, "\(left)")
            }
        }

        @Test func aDirectoryThatOthersMayChangeIsRefused() throws {
            try withTestFolder("open") { folder in
                let node = TestNode(in: folder.path)
                #expect(mkdir(node.dataDirectory, 0o700) == 0 && chmod(node.dataDirectory, 0o777) == 0)
                let process = try node.launch()
                #expect(process.wait(seconds: 30) == .exited(3))
                #expect(process.errors.contains("chmod go-w,o-rwx"))
            }
        }

        @Test func aStoreThatIsALinkIsRefused() throws {
            try withTestFolder("link") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                #expect(try node.stop() == .exited(0))
                let (shards, elsewhere) = ("\(node.dataDirectory)/shards", "\(folder.path)/elsewhere")
                #expect(rename(shards, elsewhere) == 0 && symlink(elsewhere, shards) == 0)
                let process = try node.launch()
                #expect(process.wait(seconds: 30) == .exited(3))
                #expect(process.errors.contains("\(shards) is a symbolic link"))
            }
        }

        @Test func aPasswordOnTheCommandLineIsHiddenAndWarnedOf() throws {
            try withTestFolder("password") { folder in
                let node = TestNode(
                    in: folder.path,
                    flags: ["--metadata-user", "u", "--metadata-password", "canary-1", "--metadata-password=canary-2"])
                try node.start()
                let line = try String(contentsOfFile: "/proc/\(try node.process.pid)/cmdline", encoding: .utf8)
                #expect(!line.contains("canary") && line.contains("--metadata-password"))
                #expect(node.log.contains("--metadata-password stands on the command line"))
                for path in ["/metrics", "/v1/cluster", "/readyz"] {
                    #expect(!(try node.admin(path).text.contains("canary")))
                }
                let limits = try String(contentsOfFile: "/proc/\(try node.process.pid)/limits", encoding: .utf8)
                let cores = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") }
                let soft = cores?.split(separator: " ").dropFirst(4).first
                #expect(soft == "1" || soft == "0", "a crash writes no core: \(String(describing: cores))")
                #expect(try node.stop() == .exited(0))
                #expect(!node.log.contains("canary"))
            }
        }

        @Test func aConfigurationThatOthersMayReadHoldsNoSecret() throws {
            try withTestFolder("config") { folder in
                let file = try folder.write("keystead.yaml", Array("metadata-password: canary\n".utf8))
                #expect(chmod(file, 0o644) == 0)
                let node = TestNode(in: folder.path, flags: ["--config", file])
                let process = try node.launch()
                #expect(process.wait(seconds: 30) == .exited(3))
                #expect(process.errors.contains("chmod o-rwx \(file)") && !process.errors.contains("canary"))
            }
        }
    }
}
