import Foundation
import Glibc
import Testing

/// The process as the system sees it: clocks, signals, files.
@Suite(.serialized) struct Daemon {}

extension Daemon {
    /// A clock that is wrong harms nothing that is still wanted once it is right.
    @Suite(.serialized) struct ClockTests {
        private func withClock(_ name: String, _ body: (TestNode, ShiftedClock) throws -> Void) throws {
            try withTestFolder(name) { folder in
                let clock = try ShiftedClock(in: folder.path)
                let node = TestNode(
                    in: folder.path, flags: ["--shards", "16", "--memory", "128MiB"], environment: clock.environment)
                try body(node, clock)
            }
        }

        private func lastModified(_ answer: HTTPAnswer) throws -> Date {
            let format = DateFormatter()
            format.locale = Locale(identifier: "en_US_POSIX")
            format.timeZone = TimeZone(identifier: "GMT")
            format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss zzz"
            return try #require(answer["Last-Modified"].flatMap { format.date(from: $0) })
        }

        @Test func idleStartsUnderAWrongClockChangeNothing() throws {
            try withClock("idle") { node, clock in
                try node.start()
                try node.client().put("c/ninety-days", "x", query: "?ttl=7776000")
                #expect(try node.stop() == .exited(0))
                for days in [300, 2, 365] as [Int64] {
                    try clock.setWall(ahead: days * ShiftedClock.day)
                    try node.start()
                    #expect(try node.client().get("c/ninety-days").status == (days > 90 ? 404 : 200))
                    #expect(
                        node.log.contains("the newest data is \(days - 1) days 23 h old")
                            || node.log.contains("the newest data is \(days) days"), "\(node.log)")
                    if days == 2 { try node.crash() } else { #expect(try node.stop() == .exited(0)) }
                }
                try clock.setWall(ahead: 0)
                try node.start()
                #expect(try node.client().get("c/ninety-days").status == 200)
                try node.client().put("c/new", "x")
                #expect(try lastModified(node.client().get("c/new")) < Date(timeIntervalSinceNow: 2))
                #expect(try node.stop() == .exited(0))
            }
        }

        @Test func aYearTooFarIsRefusedUntilItIsAccepted() throws {
            try withClock("refused") { node, clock in
                try clock.setWall(ahead: 500 * ShiftedClock.day)
                try node.start()
                #expect(try node.stop() == .exited(0), "without data any clock will do")
                try clock.setWall(ahead: 0)
                try node.start()
                try node.client().put("c/a", "x", query: "?ttl=7776000")
                #expect(try node.stop() == .exited(0))
                try clock.setWall(ahead: 367 * ShiftedClock.day)
                let refused = try node.launch()
                #expect(refused.wait(seconds: 60) == .exited(3))
                #expect(refused.errors.contains("--accept-clock") && refused.errors.contains("367 days"))
                let accepting = try node.launch(["--accept-clock"])
                try node.awaitReady()
                #expect(try node.client().get("c/a").status == 404)
                #expect(accepting.errors.contains("accept"))
                #expect(try node.stop() == .exited(0))
                try clock.setWall(ahead: 0)
                try node.start()
                #expect(try node.client().get("c/a").status == 200, "nobody has written")
                #expect(try node.stop() == .exited(0))
            }
        }

        /// From before 1970 to beyond the year 9999.
        @Test func noClockStopsANode() throws {
            try withClock("values") { node, clock in
                try node.start()
                try node.client().put("c/a", "x")
                #expect(try node.stop() == .exited(0))
                let year = 365 * ShiftedClock.day
                for years in [-10, -60, -200, 240, 300, 600, 8000, 290_000_000] as [Int64] {
                    try clock.setWall(ahead: years * year)
                    try node.launch(["--accept-clock", "--log-format", "json"])
                    try node.awaitReady()
                    let client = try node.client()
                    #expect(try client.get("c/a").status == 200)
                    #expect(try client.send("HEAD", "/v1/entities/c/a")["Date"] != nil)
                    #expect(try client.listAll("c").count == 1)
                    #expect(try node.admin("/v1/cluster").status == 200)
                    #expect(try node.stop() == .exited(0), "\(years) years")
                }
                try clock.setWall(ahead: -60 * year)
                try node.start()
                let client = try node.client()
                try client.put("c/b", "x", query: "?ttl=1")
                #expect(try eventually(within: 3) { try client.get("c/b").status == 404 }, "time goes on")
                #expect(try node.stop() == .exited(0))
            }
        }

        @Test func whatHasExpiredStaysSoUnderAClockThatWasSetBack() throws {
            try withClock("back") { node, clock in
                try node.start()
                let client = try node.client()
                try client.put("c/short", "x", query: "?ttl=1")
                #expect(try eventually(within: 3) { try client.get("c/short").status == 404 })
                #expect(try node.stop() == .exited(0))
                try clock.setWall(ahead: -3600)
                try node.start()
                #expect(try node.client().get("c/short").status == 404)
                #expect(node.log.contains("behind"), "\(node.log)")
                #expect(try node.stop() == .exited(0))
            }
        }

        @Test func clocksThatComeApartAreTold() throws {
            try withClock("gap") { node, clock in
                try node.start()
                func ahead() throws -> Int? {
                    let clock = try node.admin("/v1/cluster").object["clock"] as? [String: Any]
                    return clock?["wall-ahead-milliseconds"] as? Int
                }
                #expect(try ahead() == 0)
                try clock.setWall(ahead: 7200)
                #expect(try eventually(within: 5) { try (ahead() ?? 0) > 7_100_000 })
                #expect(eventually(within: 5) { node.log.contains("ahead of the data's time") })
                let status = try ChildProcess.run(
                    Programs.control, ["status", "--admin", "http://127.0.0.1:\(node.adminPort)"], in: node.folder)
                #expect(status.ending == .exited(0) && status.output.contains("ahead of the data's time"))
                try clock.setWall(ahead: 0)
                #expect(eventually(within: 5) { node.log.contains("agree again") })
                #expect(try node.stop() == .exited(0))
            }
        }

        /// Elapsed time is time: a machine that slept for two days finds what has expired gone, and nothing removed.
        @Test func aMachineThatSleptGoesOn() throws {
            try withClock("slept") { node, clock in
                try node.start()
                let client = try node.client()
                try client.put("c/day", "x", query: "?ttl=86400")
                try client.put("c/week", "x", query: "?ttl=604800")
                try clock.sleep(2 * ShiftedClock.day)
                let fresh = try node.client()
                #expect(try eventually(within: 5) { try fresh.get("c/day").status == 404 })
                #expect(try fresh.get("c/week").status == 200)
                #expect(try node.stop() == .exited(0))
            }
        }
    }
}
