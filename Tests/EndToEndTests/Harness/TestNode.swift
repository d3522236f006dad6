import Foundation
import Glibc
import Synchronization

/// One node as its operator sees it: a data directory, and a process that comes and goes.
final class TestNode: Sendable {
    struct Ports: Sendable {
        let client: UInt16
        let admin: UInt16
        let peer: UInt16
    }

    let folder: String
    let dataDirectory: String
    /// The IPv4 address that it listens on.
    let host: String
    private let flags: [String]
    private let keepsPorts: Bool
    private let launcher: [String]
    private let environment: [String: String]
    private let state = Mutex(State())

    private struct State {
        var process: ChildProcess?
        var ports = Ports(client: 0, admin: 0, peer: 0)
        var lives = 0
        var isReady = false
    }

    /// - Parameters:
    ///   - dataDirectory: `folder/data` where nothing else is said.
    ///   - keepsPorts: whether it comes back on the ports of its first life.
    ///   - launcher: a program with arguments that runs the node in a place of its own and becomes it.
    ///   - environment: added to that of the tests.
    init(
        in folder: String, dataDirectory: String? = nil, flags: [String] = ["--shards", "16"],
        host: String = "127.0.0.1", keepsPorts: Bool = false, launcher: [String] = [],
        environment: [String: String] = [:]
    ) {
        self.folder = folder
        self.dataDirectory = dataDirectory ?? "\(folder)/data"
        self.flags = flags
        self.host = host
        self.keepsPorts = keepsPorts
        self.launcher = launcher
        self.environment = environment
        ChildProcess.endsLeftoversAtExit
    }

    var port: UInt16 { state.withLock { $0.ports.client } }
    /// Whether its last process has been seen ready.
    var hasBeenReady: Bool { state.withLock { $0.isReady } }
    var adminPort: UInt16 { state.withLock { $0.ports.admin } }
    var peerPort: UInt16 { state.withLock { $0.ports.peer } }
    var process: ChildProcess {
        get throws {
            guard let process = state.withLock({ $0.process }) else { throw HarnessError("the node was never started") }
            return process
        }
    }

    /// The log of the process that runs or ran last.
    var log: String { state.withLock { $0.process?.errors ?? "" } }

    /// Starts a process and waits until it says that it is ready.
    func start(within seconds: Double = 60) throws {
        try launch()
        try awaitReady(within: seconds)
    }

    /// Waits until the process that was launched says that it is ready.
    func awaitReady(within seconds: Double = 60) throws {
        let process = try process
        let ready = try eventually(within: seconds, every: 10) {
            if !process.isRunning {
                throw HarnessError("the node ended during its start:\n\(process.errors)\(process.output)")
            }
            return (try? admin("/readyz"))?.status == 200
        }
        guard ready else { throw HarnessError("the node was not ready after \(seconds) s:\n\(process.errors)") }
        state.withLock { $0.isReady = true }
    }

    /// Starts a process and waits for nothing.
    ///
    /// - Parameter more: flags of this life alone.
    @discardableResult
    func launch(_ more: [String] = []) throws -> ChildProcess {
        let fresh = try Ports(client: FreePort.next(), admin: FreePort.next(), peer: FreePort.next())
        let (life, ports) = state.withLock { state in
            state.lives += 1
            state.isReady = false
            if state.lives == 1 || !keepsPorts { state.ports = fresh }
            return (state.lives, state.ports)
        }
        let command =
            launcher + [
                Programs.server, "serve", "--data-dir", dataDirectory, "--listen", "\(host):\(ports.client)",
                "--admin-listen", "\(host):\(ports.admin)", "--peer-listen", "\(host):\(ports.peer)",
                // Requests that tests write by hand call it so.
                "--hosts", "h",
            ] + flags + more
        let process = try ChildProcess(
            command[0], Array(command.dropFirst()), environment: environment, in: folder, name: "node-\(life)")
        state.withLock { $0.process = process }
        return process
    }

    /// kill -9.
    func crash() throws { try process.killAndWait() }

    /// SIGTERM; how the process ended, or `nil` if it did not within `seconds`.
    func stop(within seconds: Double = 30) throws -> ChildProcess.Ending? {
        let process = try process
        process.send(signal: SIGTERM)
        return process.wait(seconds: seconds)
    }

    func connect() throws -> RawConnection { try RawConnection(host: host, port: port) }
    func client() throws -> EntityClient { EntityClient(try connect()) }

    /// GET from the admin listener.
    func admin(_ path: String) throws -> HTTPAnswer {
        let connection = try RawConnection(host: host, port: adminPort)
        try connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return try connection.answer()
    }

    /// Bytes of memory that are resident now (`VmRSS`) or were at most (`VmHWM`).
    func memory(_ field: String) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(try process.pid)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix(field + ":") }
        guard let kibibytes = line?.split(whereSeparator: { " \t".contains($0) }).dropFirst().first.flatMap({ Int($0) })
        else { throw HarnessError("/proc says nothing about \(field)") }
        return kibibytes << 10
    }
}

/// Ports below the range from which the kernel takes those of outgoing connections.
enum FreePort {
    private static let counter = Mutex<UInt16>(20_000 + UInt16(getpid() % 9_000))

    static func next() throws -> UInt16 { try stretch(of: 1) }

    /// The first of `count` free ports in a row, none of which another call is given before the range is through.
    static func stretch(of count: UInt16) throws -> UInt16 {
        for _ in 0..<2_000 {
            let first = counter.withLock { counter in
                let first = counter >= 32_000 - count ? 20_000 : counter + 1
                counter = first + count - 1
                return first
            }
            if (first..<first + count).allSatisfy({ isFree($0) }) { return first }
        }
        throw HarnessError("no \(count) free ports in a row between 20000 and 31999")
    }

    static func isFree(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = socketAddress("127.0.0.1", port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

/// - Parameter host: an IPv4 address.
func socketAddress(_ host: String, _ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    let code = inet_pton(AF_INET, host, &address.sin_addr)
    precondition(code == 1, "\(host) is an IPv4 address")
    return address
}
