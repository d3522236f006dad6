import Foundation
import Glibc
import Synchronization

struct Ports: Sendable {
    let client: UInt16
    let admin: UInt16
    let peer: UInt16
}

/// What the system says of a process.
struct Vitals: Sendable {
    let residentMebibytes: Int
    let sockets: Int
    let threads: Int
}

struct HostileError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// The node under attack: started on loopback with a directory of its own, ended by its pid.
final class Victim: Sendable {
    let ports: Ports
    private let folder: String
    private let program: String
    private let arguments: [String]
    private let process = Mutex<pid_t>(0)

    init(program: String, work: String, memoryMebibytes: Int) throws {
        guard access(program, X_OK) == 0 else { throw HostileError("there is no program \(program)") }
        self.program = program
        folder = "\(work)/keystead-hostile-\(getpid())"
        let first = try FreePorts.stretch(of: 3)
        ports = Ports(client: first, admin: first + 1, peer: first + 2)
        arguments = [
            program, "serve", "--data-dir", "\(folder)/data", "--listen", "127.0.0.1:\(ports.client)",
            "--admin-listen", "127.0.0.1:\(ports.admin)", "--peer-listen", "127.0.0.1:\(ports.peer)",
            "--memory", "\(memoryMebibytes)MiB",
        ]
    }

    func start() throws {
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, "\(folder)/log", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { for each in argv { free(each) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, program, &actions, nil, &argv, environ)
        guard code == 0 else { throw HostileError("cannot start \(program): \(String(cString: strerror(code)))") }
        process.withLock { $0 = pid }
        for _ in 0..<600 {
            guard isRunning else { break }
            if isReady { return }
            usleep(100_000)
        }
        let said = lastWords
        remove()
        throw HostileError("the node did not become ready:\n\(said)")
    }

    var isRunning: Bool {
        let pid = process.withLock { $0 }
        guard pid > 0 else { return false }
        return kill(pid, 0) == 0 && waitpid(pid, nil, WNOHANG) == 0
    }

    var isReady: Bool {
        guard let socket = HostileSocket(port: ports.admin) else { return false }
        socket.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return socket.read(upTo: 4096, seconds: 5).starts(with: Array("HTTP/1.1 200".utf8))
    }

    var lastWords: String {
        let text = (try? String(contentsOfFile: "\(folder)/log", encoding: .utf8)) ?? ""
        return "the node's log ends with:\n" + text.suffix(2000)
    }

    /// The cluster's id, which every hello of a peer names: the stranger that is tried here knows it.
    func identity() throws -> (high: UInt64, low: UInt64) {
        let text = try String(contentsOfFile: "\(folder)/data/IDENTITY", encoding: .utf8)
        let line = text.split(separator: "\n").first { $0.hasPrefix("cluster ") }
        guard let id = line?.split(separator: " ").last, id.utf8.count == 32,
            let high = UInt64(id.prefix(16), radix: 16), let low = UInt64(id.suffix(16), radix: 16)
        else { throw HostileError("IDENTITY names no cluster") }
        return (high, low)
    }

    func vitals() throws -> Vitals {
        let pid = process.withLock { $0 }
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        func number(_ field: String) throws -> Int {
            let line = status.split(separator: "\n").first { $0.hasPrefix(field + ":") }
            let words = line?.split(whereSeparator: { $0 == " " || $0 == "\t" }) ?? []
            guard words.count > 1, let value = Int(words[1]) else { throw HostileError("the node has ended") }
            return value
        }
        return Vitals(
            residentMebibytes: try number("VmRSS") >> 10, sockets: try sockets(of: pid), threads: try number("Threads"))
    }

    /// Open sockets. Files are another matter: stores open tables as they grow, up to a bound of their own.
    private func sockets(of pid: pid_t) throws -> Int {
        let folder = "/proc/\(pid)/fd"
        return try FileManager.default.contentsOfDirectory(atPath: folder).count { name in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\(name)")
            return target?.hasPrefix("socket:") == true
        }
    }

    /// SIGTERM; the exit code, or `nil` where it did not end by itself within `seconds`.
    func stop(within seconds: Double) -> Int32? {
        let pid = process.withLock { $0 }
        guard pid > 0 else { return nil }
        kill(pid, SIGTERM)
        for _ in 0..<Int(seconds * 20) {
            var status: Int32 = 0
            if waitpid(pid, &status, WNOHANG) == pid {
                process.withLock { $0 = 0 }
                return status & 0x7f == 0 ? (status >> 8) & 0xff : nil
            }
            usleep(50_000)
        }
        return nil
    }

    /// Ends what still runs and removes the directory.
    func remove() {
        let pid = process.withLock { pid in
            defer { pid = 0 }
            return pid
        }
        if pid > 0 {
            kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        try? FileManager.default.removeItem(atPath: folder)
    }
}

/// Looks at the node twice a second.
final class Watch: Sendable {
    private let victim: Victim
    private let state = Mutex((samples: [Vitals](), isOver: false))

    init(_ victim: Victim) { self.victim = victim }

    func begin() {
        Thread.detachNewThread { [self] in
            while !state.withLock({ $0.isOver }) {
                if let vitals = try? victim.vitals() { state.withLock { $0.samples.append(vitals) } }
                usleep(500_000)
            }
        }
    }

    func end() -> [Vitals] {
        state.withLock { state in
            state.isOver = true
            return state.samples
        }
    }
}

enum FreePorts {
    /// The first of `count` free ports in a row, below those that the kernel gives to outgoing connections.
    static func stretch(of count: UInt16) throws -> UInt16 {
        var first = 20_000 + UInt16(getpid() % 9_000)
        for _ in 0..<1_000 {
            if (first..<first + count).allSatisfy({ isFree($0) }) { return first }
            first = first > 31_000 ? 20_000 : first + count
        }
        throw HostileError("no \(count) free ports in a row between 20000 and 31999")
    }

    private static func isFree(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return HostileSocket.withAddress(port) { bind(descriptor, $0, $1) } == 0
    }
}
