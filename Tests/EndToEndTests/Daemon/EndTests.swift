import Foundation
import Glibc
import Testing

extension Daemon {
    /// A node ends when it is asked to, whoever reads its log and whatever its callers do.
    @Suite(.serialized) struct EndTests {
        /// Runs a program with its errors going to a pipe that nobody reads.
        private static let intoPipe = ["/bin/sh", "-c", #"p="$1"; shift; exec "$@" 2>"$p""#, "sh"]

        @Test func aFullLogPipeHoldsNothing() throws {
            try withTestFolder("pipe") { folder in
                let pipe = "\(folder.path)/pipe"
                #expect(mkfifo(pipe, 0o600) == 0)
                let reader = open(pipe, O_RDWR | O_NONBLOCK)
                #expect(reader >= 0)
                defer { close(reader) }
                let node = TestNode(
                    in: folder.path, flags: ["--shards", "16", "--log-level", "trace"],
                    launcher: Self.intoPipe + [pipe])
                try node.start()
                let filling = [UInt8](repeating: UInt8(ascii: "x"), count: 4096)
                while write(reader, filling, filling.count) > 0 {}
                while write(reader, filling, 1) > 0 {}
                let client = try node.client()
                for number in 0..<100 { expectWritten(try client.put("e/\(number)", "x")) }
                #expect(try node.stop(within: 20) == .exited(0))
            }
        }

        @Test func aSecondSignalChangesNothing() throws {
            try withTestFolder("twice") { folder in
                let node = TestNode(in: folder.path)
                for signals in [[SIGTERM, SIGTERM, SIGINT], [SIGINT, SIGTERM, SIGINT, SIGHUP, SIGPIPE]] {
                    try node.start()
                    // A request that is not whole keeps the end waiting for a moment.
                    let caller = try node.connect()
                    try caller.send("PUT /v1/entities/e/half HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
                    for signal in signals {
                        try node.process.send(signal: signal)
                        usleep(100_000)
                    }
                    #expect(try node.process.wait(seconds: 30) == .exited(0))
                }
            }
        }

        @Test func callersThatStayDoNotHoldIt() throws {
            try withTestFolder("callers") { folder in
                let node = TestNode(in: folder.path)
                try node.start()
                let client = try node.client()
                let large = [UInt8](repeating: 7, count: 1 << 20)
                for number in 0..<16 { expectWritten(try client.put("e/\(number)", large)) }
                var callers: [RawConnection] = []
                for number in 0..<200 {
                    let caller = try node.connect()
                    callers.append(caller)
                    switch number % 4 {
                    case 0:
                        try caller.send("PUT /v1/entities/e/half HTTP/1.1\r\nHost: h\r\nContent-Length: 99\r\n\r\nx")
                    case 1:
                        let request = "GET /v1/entities/e/\(number % 16) HTTP/1.1\r\nHost: h\r\n\r\n"
                        try caller.send(String(repeating: request, count: 8))
                    case 2: try caller.send("GET /v1/entities/e?values=true&limit=1000 HTTP/1.1\r\nHost: h\r\n\r\n")
                    default:
                        try caller.send(
                            "POST /v1/batch HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\n"
                                + #"{"op":"get","key":"e/1"}  "# + "\r\n")
                    }
                }
                #expect(try node.stop(within: 30) == .exited(0))
                withExtendedLifetime(callers) {}
            }
        }

        @Test func aStartThatWaitsEndsToo() throws {
            try withTestFolder("waits") { folder in
                let node = TestNode(in: folder.path, flags: ["--metadata", "etcd://127.0.0.1:1"])
                let process = try node.launch()
                #expect(eventually(within: 20) { process.errors.contains("waiting for the metadata store") })
                process.send(signal: SIGHUP)
                usleep(200_000)
                #expect(process.isRunning, "SIGHUP never ends a node")
                #expect(try node.stop(within: 30) == .exited(0))
            }
        }

        @Test func aClosedStandardErrorHarmsNothing() throws {
            try withTestFolder("closed") { folder in
                let node = TestNode(
                    in: folder.path, launcher: ["/bin/sh", "-c", #"exec "$@" 0<&- 1>&- 2>&-"#, "sh"])
                try node.start()
                let client = try node.client()
                expectWritten(try client.put("e/a", "x"))
                #expect(try node.stop() == .exited(0))
                try node.start()
                expectFound(try node.client().get("e/a"), "x")
                #expect(try node.stop() == .exited(0))
            }
        }
    }

    @Suite(.serialized) struct ReloadTests {
        @Test func theLogLevelIsReadAgain() throws {
            try withTestFolder("reload") { folder in
                let file = try folder.write("keystead.yaml", Array("log-level: info\nshards: 16\n".utf8))
                let node = TestNode(in: folder.path, flags: ["--config", file])
                try node.start()
                func reload(_ text: String, _ wanted: String) throws {
                    _ = try folder.write("keystead.yaml", Array(text.utf8))
                    try node.process.send(signal: SIGHUP)
                    #expect(eventually(within: 10) { node.log.contains(wanted) }, "\(wanted):\n\(node.log)")
                }
                try reload("log-level: debug\nshards: 32\n", "log-level was info, is debug")
                #expect(node.log.contains("after-restart=shards"))
                try reload("log-level: [\n", "goes on with the one it has")
                try reload("log-level: warning\nshards: 16\n", "log-level was debug, is warning")
                expectWritten(try node.client().put("e/a", "x"))
                #expect(try node.stop() == .exited(0))
            }
        }
    }
}
