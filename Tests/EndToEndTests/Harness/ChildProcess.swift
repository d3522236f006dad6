import Foundation
import Glibc
import Primitives
import Synchronization

/// What went wrong in the harness itself, as opposed to an expectation that did not hold.
struct HarnessError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A program that a test started. Its output goes to files, so that it never blocks on a full pipe and stays readable
/// after a crash. It is ended by its own pid, at the end of the test process at the latest.
final class ChildProcess: Sendable {
    enum Ending: Equatable, Sendable {
        case exited(Int32)
        case signalled(Int32)
    }

    let pid: pid_t
    let outputPath: String
    let errorPath: String
    private let ending = Mutex<Ending?>(nil)

    /// Starts `program` (a path) with its output in `folder/name.out` and `folder/name.err`, which belong to one
    /// running process.
    init(_ program: String, _ arguments: [String], environment: [String: String] = [:], in folder: String, name: String)
        throws
    {
        outputPath = "\(folder)/\(name).out"
        let errorPath = "\(folder)/\(name).err"
        self.errorPath = errorPath
        guard !Self.running.withLock({ $0.values.contains(errorPath) }) else {
            throw HarnessError("a running process writes to \(errorPath)")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        // A socket of the tests that stayed open here would be a connection, or a server, that nobody can end.
        for descriptor in 3..<CInt(1024) { posix_spawn_file_actions_addclose(&actions, descriptor) }
        let code = Self.withCStrings([program] + arguments) { argv in
            Self.withCStrings(Self.environment(adding: environment)) { envp in
                var pid: pid_t = 0
                let code = posix_spawn(&pid, program, &actions, nil, argv, envp)
                return (code, pid)
            }
        }
        guard code.0 == 0 else { throw HarnessError("cannot start \(program): \(String(cString: strerror(code.0)))") }
        pid = code.1
        Self.running.withLock { $0[code.1] = errorPath }
    }

    /// The environment without the settings of the tests, which the programs under test would refuse to know.
    private static func environment(adding more: [String: String]) -> [String] {
        var all = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("KEYSTEAD_") }
        all.merge(more) { $1 }
        return all.map { "\($0.key)=\($0.value)" }
    }

    private static func withCStrings<R>(
        _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
    ) -> R {
        var pointers: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress!) }
    }

    var output: String { Self.text(outputPath) }
    var errors: String { Self.text(errorPath) }
    var isRunning: Bool { poll() == nil }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    func send(signal: Int32) {
        if isRunning { kill(pid, signal) }
    }

    /// How it ended, or `nil` when it still runs after `seconds`.
    func wait(seconds: Double) -> Ending? {
        let deadline = Deadline(seconds: seconds)
        while true {
            if let ended = poll() { return ended }
            if deadline.hasPassed { return nil }
            usleep(2000)
        }
    }

    @discardableResult
    func killAndWait() -> Ending? {
        send(signal: SIGKILL)
        return wait(seconds: 20)
    }

    private func poll() -> Ending? {
        ending.withLock { ending in
            if ending != nil { return ending }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            let signal = status & 0x7f
            ending = signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
            Self.running.withLock { _ = $0.removeValue(forKey: pid) }
            return ending
        }
    }

    // MARK: Those still running

    /// What each of them writes its errors to.
    private static let running = Mutex<[pid_t: String]>([:])

    /// Ends what is left when the test process ends.
    static let endsLeftoversAtExit: Void = {
        atexit {
            for pid in ChildProcess.running.withLock({ $0.keys }) { kill(pid, SIGKILL) }
        }
    }()

    /// Runs a program to its end.
    static func run(
        _ program: String, _ arguments: [String], environment: [String: String] = [:], in folder: String,
        name: String? = nil, seconds: Double = 60
    ) throws -> (ending: Ending, output: String, errors: String) {
        let name = name ?? "\(program.split(separator: "/").last ?? "run")-\(UInt32.random(in: 0 ... .max))"
        let child = try ChildProcess(program, arguments, environment: environment, in: folder, name: name)
        guard let ending = child.wait(seconds: seconds) else {
            child.killAndWait()
            throw HarnessError("\(program) \(arguments.joined(separator: " ")) still ran after \(seconds) s")
        }
        return (ending, child.output, child.errors)
    }
}

/// Bytes that do not compress, so that they stand in files as they are.
func incompressible(_ count: Int, _ generator: inout SplitMix64) -> [UInt8] {
    let words = (0..<(count + 7) / 8).map { _ in generator.next() }
    return words.withUnsafeBytes { Array($0.prefix(count)) }
}

/// A point in time that counts through suspension and never steps.
struct Deadline: Sendable {
    private let end: ContinuousClock.Instant

    init(seconds: Double) { end = .now + .seconds(seconds) }

    var hasPassed: Bool { ContinuousClock.now >= end }

    /// For `poll`; never negative.
    var millisecondsLeft: Int32 {
        let left = ContinuousClock.now.duration(to: end)
        return Int32(max(0, min(left / .milliseconds(1), Double(Int32.max))))
    }
}

/// Calls `condition` until it is true or `seconds` have passed.
func eventually(within seconds: Double, every milliseconds: UInt32 = 50, _ condition: () throws -> Bool) rethrows
    -> Bool
{
    let deadline = Deadline(seconds: seconds)
    while true {
        if try condition() { return true }
        if deadline.hasPassed { return false }
        usleep(milliseconds * 1000)
    }
}

/// Runs `body` once for each index on a thread of its own (they block on sockets) and gives the results in order.
func onThreads<R: Sendable>(_ count: Int, _ body: @escaping @Sendable (Int) throws -> R) throws -> [R] {
    let results = Mutex<[Int: Result<R, any Error>]>([:])
    let ends = (0..<count).map { index in
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            let result = Result { try body(index) }
            results.withLock { $0[index] = result }
            done.signal()
        }
        thread.stackSize = 1 << 20
        thread.start()
        return done
    }
    for end in ends { end.wait() }
    return try results.withLock { all in try (0..<count).map { try all[$0]!.get() } }
}
