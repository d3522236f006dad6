import Foundation
import Glibc
import Logging
import Testing

@testable import NodeRuntime

/// Whoever logs waits for nobody.
@Suite struct LogPipeTests {
    private struct Pipe {
        let reading: CInt
        let writing: CInt

        init() {
            var ends: [CInt] = [0, 0]
            precondition(pipe(&ends) == 0, "there are descriptors")
            (reading, writing) = (ends[0], ends[1])
        }

        /// What is there, up to `count` bytes; waits for the first.
        func read(_ count: Int = 1 << 20) -> String {
            var bytes = [UInt8](repeating: 0, count: count)
            let got = Glibc.read(reading, &bytes, count)
            return String(decoding: bytes.prefix(max(0, got)), as: UTF8.self)
        }

        /// Reads what comes until the log has written everything, and the rest.
        func readUntilDrained(_ log: LogPipe) -> String {
            var text = ""
            var isOver = false
            repeat {
                isOver = log.drain(milliseconds: 5)
                var readable = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
                while poll(&readable, 1, 0) > 0 { text += read() }
            } while !isOver
            return text
        }
    }

    private func line(_ number: Int) -> [UInt8] { Array("line \(number)\n".utf8) }

    @Test func linesComeInOrder() {
        let ends = Pipe()
        let log = LogPipe(descriptor: ends.writing)
        for number in 0..<1000 { log.post(line(number)) }
        #expect(log.drain(milliseconds: 10_000))
        #expect(ends.read() == (0..<1000).map { "line \($0)\n" }.joined())
    }

    @Test func aPipeThatNobodyReadsHoldsNobodyAndLosesWhatItSays() {
        let ends = Pipe()
        let log = LogPipe(descriptor: ends.writing, bytesMax: 4096)
        let long = [UInt8](repeating: UInt8(ascii: "x"), count: 1023) + [UInt8(ascii: "\n")]
        var posted = 0
        // Until the pipe is full, and the queue behind it.
        repeat {
            for _ in 0..<100 { log.post(long) }
            posted += 100
        } while log.drain(milliseconds: 50) || log.droppedCount == 0
        #expect(log.droppedCount > 0)
        log.post(line(1))
        var text = ends.readUntilDrained(log)
        #expect(text.contains("log lines were dropped here"))
        log.post(line(2))
        text += ends.readUntilDrained(log)
        #expect(log.droppedCount == 0)
        let lines = text.split(separator: "\n")
        let told = lines.filter { $0.contains("dropped here") }
            .compactMap { $0.split(separator: " ").compactMap { Int($0) }.first }.reduce(0, +)
        let written = lines.count { $0.hasPrefix("x") || $0 == "line 1" }
        #expect(written + told == posted + 1, "every line is there or is counted")
        #expect(lines.last == "line 2")
    }

    @Test func aClosedPipeIsNoMatter() {
        signal(SIGPIPE, SIG_IGN)
        let ends = Pipe()
        close(ends.reading)
        let log = LogPipe(descriptor: ends.writing)
        for number in 0..<100 { log.post(line(number)) }
        #expect(log.drain(milliseconds: 10_000))
        #expect(log.droppedCount == 100)
    }

    @Test func aPipeThatSomebodyMadeNonBlockingIsWaitedFor() {
        let ends = Pipe()
        #expect(fcntl(ends.writing, F_SETFL, O_NONBLOCK) == 0)
        let log = LogPipe(descriptor: ends.writing)
        for number in 0..<20_000 { log.post(line(number)) }
        var text = ""
        while !text.contains("line 19999\n") { text += ends.read() }
        #expect(text == (0..<20_000).map { "line \($0)\n" }.joined())
    }

    @Test func theLevelChangesForLoggersThatAreThere() {
        let ends = Pipe()
        let pipe = LogPipe(descriptor: ends.writing)
        let level = LogLevelSwitch(.notice)
        let logger = Logger(label: "t") { LineLogHandler(label: $0, asJSON: false, level: level, pipe: pipe) }
        logger.info("one")
        level.level = .info
        logger.info("two")
        level.level = .error
        logger.warning("three")
        logger.error("four")
        #expect(pipe.drain(milliseconds: 10_000))
        let text = ends.read()
        #expect(
            ["one", "three"].allSatisfy { !text.contains($0) } && ["two", "four"].allSatisfy { text.contains($0) })
    }
}

@Suite struct ReloadTests {
    private final class Source: Sendable {
        let answers: @Sendable () throws -> NodeConfiguration
        init(_ answers: @escaping @Sendable () throws -> NodeConfiguration) { self.answers = answers }
    }

    private func configuration(_ yaml: String, flags: [String: String] = [:]) throws -> NodeConfiguration {
        try ConfigurationLoader.load(
            flags: flags, environment: [:], yaml: ConfigurationFile(text: yaml, path: "keystead.yaml"))
    }

    /// What the log says when `fresh` is found in place of `old`, and the level then.
    private func reloading(
        _ old: NodeConfiguration, _ fresh: @escaping @Sendable () throws -> NodeConfiguration
    ) -> (text: String, level: Logger.Level) {
        var ends: [CInt] = [0, 0]
        precondition(pipe(&ends) == 0, "there are descriptors")
        let pipe = LogPipe(descriptor: ends[1])
        let level = LogLevelSwitch(old)
        let logger = Logger(label: "t") { LineLogHandler(label: $0, asJSON: false, level: level, pipe: pipe) }
        Reload(old, parts: [.logLevel(level)], logger: logger, read: fresh).run()
        pipe.drain(milliseconds: 10_000)
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        let got = read(ends[0], &bytes, bytes.count)
        return (String(decoding: bytes.prefix(max(0, got)), as: UTF8.self), level.level)
    }

    @Test func theLevelIsTakenOverAndTheRestIsNamed() throws {
        let old = try configuration("log-level: info\nlisten: h:1\nmetadata-password: canary\n")
        let new = try configuration("log-level: debug\nlisten: h:2\nmetadata-password: other-canary\n")
        let (text, level) = reloading(old) { new }
        #expect(level == .debug && text.contains("log-level was info, is debug"))
        #expect(text.contains("after-restart=listen, metadata-password"))
        #expect(!text.contains("canary"))
    }

    @Test func theCommandLineStaysAbove() throws {
        let flags = ["log-level": "notice"]
        let old = try configuration("log-level: info\n", flags: flags)
        let new = try configuration("log-level: debug\n", flags: flags)
        let (text, level) = reloading(old) { new }
        #expect(level == .notice && text.contains("log-level stays notice"))
    }

    @Test func aBrokenConfigurationChangesNothing() throws {
        let old = try configuration("log-level: notice\n")
        let (text, level) = reloading(old) {
            try ConfigurationLoader.load(
                flags: [:], environment: [:], yaml: ConfigurationFile(text: "log-level: [x", path: "keystead.yaml"))
        }
        #expect(level == .notice && text.contains("goes on with the one it has") && text.contains("keystead.yaml"))
    }
}
