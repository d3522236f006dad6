import ClusterCore
import Foundation
import Synchronization

@testable import ClusterMetadata

struct HarnessError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// One member of etcd on loopback, from Debian's package.
///
/// A shell stands between: it ends etcd when this process closes its end of a pipe, so that nothing is left behind even
/// when the tests crash.
final class EtcdProcess: Sendable {
    struct Member: Sendable {
        let name: String
        let clientPort: Int
        let peerPort: Int
        let directory: String
        var extra: [String] = []
        var scheme = "http"

        var peerURL: String { "http://127.0.0.1:\(peerPort)" }
    }

    private struct Running {
        var shell: Process?
        var end: FileHandle?
        var pid: pid_t = 0
    }

    let member: Member
    private let cluster: [Member]
    private let running = Mutex(Running())

    init(_ member: Member, cluster: [Member]) {
        self.member = member
        self.cluster = cluster
    }

    deinit { stop() }

    /// - Parameter removesDirectory: when it ends.
    func start(removesDirectory: Bool = false) throws {
        let etcd = try Self.program("etcd")
        let client = "\(member.scheme)://127.0.0.1:\(member.clientPort)"
        let arguments =
            [
                etcd, "--name", member.name, "--data-dir", member.directory + "/" + member.name,
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", member.peerURL, "--initial-advertise-peer-urls", member.peerURL,
                "--initial-cluster", cluster.map { "\($0.name)=\($0.peerURL)" }.joined(separator: ","),
                "--heartbeat-interval", "100", "--election-timeout", "1000", "--unsafe-no-fsync",
            ] + member.extra
        let script = """
            log=$1; rubbish=$2; shift 2
            "$@" > "$log" 2>&1 < /dev/null &
            echo $!
            cat > /dev/null
            exec 2> /dev/null
            kill -9 $! 2> /dev/null
            wait $!
            [ -z "$rubbish" ] || rm -rf "$rubbish"
            """
        let shell = Process()
        shell.executableURL = URL(filePath: "/bin/sh")
        shell.arguments =
            ["-c", script, "sh", member.directory + "/" + member.name + ".log"]
            + [removesDirectory ? member.directory : ""] + arguments
        shell.environment = ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"]
        let (input, output) = (Pipe(), Pipe())
        shell.standardInput = input
        shell.standardOutput = output
        try shell.run()
        var text: [UInt8] = []
        while text.last != UInt8(ascii: "\n") {
            let byte = output.fileHandleForReading.readData(ofLength: 1)
            guard !byte.isEmpty else { throw HarnessError("the shell around etcd ended") }
            text.append(contentsOf: byte)
        }
        guard let pid = pid_t(String(decoding: text.dropLast(), as: UTF8.self)) else {
            throw HarnessError("the shell around etcd said no process id")
        }
        running.withLock { $0 = Running(shell: shell, end: input.fileHandleForWriting, pid: pid) }
    }

    /// kill -9, and waits until it is gone.
    func stop() {
        let was = running.withLock { running in
            defer { running = Running() }
            return running
        }
        try? was.end?.close()
        was.shell?.waitUntilExit()
    }

    func signal(_ number: Int32) {
        let pid = running.withLock { $0.pid }
        precondition(pid > 0, "the member runs")
        kill(pid, number)
    }

    static func program(_ name: String) throws -> String {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let directories = path.split(separator: ":").map(String.init) + ["/usr/sbin"]
        for directory in directories {
            let file = "\(directory)/\(name)"
            if access(file, X_OK) == 0 { return file }
        }
        throw HarnessError(
            "these tests need \(name), and it is not in PATH: apt-get install etcd-server openssl, or run deploy/test")
    }

    /// Ports of loopback that nobody listens on, each given once: below the range from which the kernel takes those of
    /// outgoing connections, so that they are still free when a member comes back.
    static func freePorts(_ count: Int) throws -> [Int] {
        var ports: [Int] = []
        for _ in 0..<2000 where ports.count < count {
            let port = nextPort.withLock { next in
                defer { next = next < 19_999 ? next + 1 : 12_000 }
                return next
            }
            if isFree(port) { ports.append(port) }
        }
        guard ports.count == count else { throw HarnessError("no \(count) free ports between 12000 and 19999") }
        return ports
    }

    private static let nextPort = Mutex(12_000 + Int(getpid()) % 8_000)

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}

/// Waits until this process gets its turns again. Tests that only compute hold the few threads that all tests share, at
/// the start above all; a store whose every step waits for seconds finds its own time limits passed.
func waitForQuiet() async throws {
    let clock = ContinuousClock()
    var quiet = 0
    for _ in 0..<1000 where quiet < 5 {
        let start = clock.now
        try await Task.sleep(for: .milliseconds(20))
        quiet = clock.now - start < .milliseconds(120) ? quiet + 1 : 0
    }
}

/// A cluster of etcd for one test, or for all that need no more than a member that answers.
final class EtcdCluster: Sendable {
    let directory: TemporaryDirectory
    let members: [EtcdProcess]

    init(members count: Int = 1, extra: [String] = [], scheme: String = "http") throws {
        let directory = try TemporaryDirectory()
        let ports = try EtcdProcess.freePorts(2 * count)
        let list = (0..<count).map {
            EtcdProcess.Member(
                name: "m\($0)", clientPort: ports[2 * $0], peerPort: ports[2 * $0 + 1], directory: directory.path,
                extra: extra, scheme: scheme)
        }
        self.directory = directory
        members = list.map { EtcdProcess($0, cluster: list) }
    }

    /// Ends when the test process does.
    static let shared = Result { try lasting() }
    /// Where nobody else makes revisions.
    static let forConformance = Result { try lasting() }

    private static func lasting() throws -> EtcdCluster {
        let cluster = try EtcdCluster()
        try cluster.start(removesDirectory: true)
        return cluster
    }

    func start(removesDirectory: Bool = false) throws {
        for member in members { try member.start(removesDirectory: removesDirectory) }
    }

    func location(only: Range<Int>? = nil) throws -> EtcdLocation {
        let scheme = members[0].member.scheme == "https" ? "etcds" : "etcd"
        let list = (only.map { Array(members[$0]) } ?? members).map { "127.0.0.1:\($0.member.clientPort)" }
        return try EtcdLocation("\(scheme)://\(list.joined(separator: ","))")
    }

    /// A store of a cluster of its own, unless named.
    func store(cluster: String = UUID().uuidString) throws -> EtcdMetadata {
        try EtcdMetadata(location(), cluster: cluster)
    }

    /// One call beside the port: `post("kv/compaction", ["revision": "5"])`.
    func post<Answer: Decodable & Sendable>(
        _ path: String, _ fields: [String: String], member: Int = 0, as: Answer.Type = NoFields.self
    ) async throws -> Answer {
        let transport = try EtcdTransport(location(only: member..<member + 1))
        let answer: Answer = try await transport.call(path, fields, repeating: .always)
        await transport.close()
        return answer
    }

    /// The index of the leader.
    func leader() async throws -> Int {
        struct Status: Decodable {
            struct Header: Decodable { let member_id: WideNumber }
            let header: Header
            let leader: WideNumber?
        }
        for index in members.indices {
            let status = try await post("maintenance/status", [:], member: index, as: Status.self)
            if status.leader == status.header.member_id { return index }
        }
        throw HarnessError("no member is the leader")
    }
}

extension MetadataStore {
    /// Asks until the store answers: after a start, or when it heals.
    func waitUntilReady() async throws {
        for _ in 0..<10 {
            do throws(MetadataError) {
                _ = try await get(MetadataKey("ready"))
                return
            } catch {
                guard case .unavailable = error else { throw error }
            }
        }
        throw HarnessError("etcd does not come up")
    }

    /// Puts as a careful caller does: where the outcome is unknown, it looks before it goes on.
    func settle(_ key: MetadataKey, _ value: [UInt8]) async throws {
        for _ in 0..<20 {
            do throws(MetadataError) {
                let entry = try await get(key).value
                if entry?.value == value { return }
                let condition = MetadataTransaction.Condition.lastPut(key, at: entry?.modRevision ?? .zero)
                if case .committed = try await transaction(
                    MetadataTransaction(if: [condition], then: [.put(key, value)]))
                {
                    return
                }
            } catch {
                switch error {
                case .outcomeUnknown, .unavailable: continue
                default: throw error
                }
            }
        }
        throw HarnessError("a put did not settle")
    }
}
