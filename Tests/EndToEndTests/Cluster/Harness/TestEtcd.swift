import Foundation
import Glibc
import Synchronization

/// The metadata store of a cluster under test: one or three members of Debian's etcd, each a process of its own.
final class TestEtcd: Sendable {
    static let settleSeconds = 30.0

    let host: String
    let count: Int
    private let folder: String
    private let launcher: [String]
    private let ports: [(client: UInt16, peer: UInt16)]
    private let processes: Mutex<[ChildProcess?]>
    private let lives = Mutex(0)

    /// - Parameters:
    ///   - host: the IPv4 address that the members listen on.
    ///   - launcher: a program with arguments that runs a member in a place of its own and becomes it.
    init(in folder: String, members count: Int = 1, host: String = "127.0.0.1", launcher: [String] = []) throws {
        self.folder = folder
        self.host = host
        self.count = count
        self.launcher = launcher
        ports = try (0..<count).map { _ in (try FreePort.next(), try FreePort.next()) }
        processes = Mutex(Array(repeating: nil, count: count))
        ChildProcess.endsLeftoversAtExit
    }

    /// For `--metadata`.
    var location: String { "etcd://" + ports.map { "\(host):\($0.client)" }.joined(separator: ",") }

    /// Starts every member and waits until all of them answer.
    func start() throws {
        for member in 0..<count { try launch(member) }
        try awaitHealth()
    }

    func launch(_ member: Int) throws {
        let life = lives.withLock { lives in
            lives += 1
            return lives
        }
        let client = "http://\(host):\(ports[member].client)"
        let peer = "http://\(host):\(ports[member].peer)"
        let all = ports.indices.map { "m\($0)=http://\(host):\(ports[$0].peer)" }.joined(separator: ",")
        // Only processes are killed here, never the machine, so that what etcd wrote is kept without syncing it.
        let command =
            launcher + [
                try Programs.system("etcd"), "--name", "m\(member)", "--data-dir", "\(folder)/etcd-m\(member)",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", all,
                "--heartbeat-interval", "100", "--election-timeout", "1000", "--unsafe-no-fsync",
            ]
        let process = try ChildProcess(
            command[0], Array(command.dropFirst()), in: folder, name: "etcd-m\(member)-\(life)")
        processes.withLock { $0[member] = process }
    }

    private func process(_ member: Int) throws -> ChildProcess {
        guard let process = processes.withLock({ $0[member] }) else {
            throw HarnessError("member \(member) of etcd was never started")
        }
        return process
    }

    /// kill -9.
    func crash(_ member: Int) throws { try process(member).killAndWait() }
    func pause(_ member: Int) throws { try process(member).send(signal: SIGSTOP) }
    func resume(_ member: Int) throws { try process(member).send(signal: SIGCONT) }

    func crashAll() throws { for member in 0..<count { try crash(member) } }
    func pauseAll() throws { for member in 0..<count { try pause(member) } }
    func resumeAll() throws { for member in 0..<count { try resume(member) } }

    /// Starts again whoever does not run, lets go on whoever is paused, and waits until all of them answer.
    func heal() throws {
        for member in 0..<count {
            if try process(member).isRunning { try resume(member) } else { try launch(member) }
        }
        try awaitHealth()
    }

    func awaitHealth(within seconds: Double = settleSeconds) throws {
        let isHealthy = eventually(within: seconds) { (0..<count).allSatisfy(answers) }
        guard isHealthy else {
            let logs = processes.withLock { $0.map { $0?.errors.suffix(1000) ?? "" } }
            throw HarnessError("etcd does not answer:\n\(logs.joined(separator: "\n"))")
        }
    }

    /// Whether a member takes part: it answers a read that needs the others.
    func answers(_ member: Int) -> Bool {
        guard let connection = try? RawConnection(host: host, port: ports[member].client),
            (try? connection.send(EntityClient.request("GET", "/health"))) != nil,
            let answer = try? connection.answer(seconds: 2)
        else { return false }
        return answer.status == 200 && answer.object["health"] as? String == "true"
    }

    /// Ends every member.
    func stop() {
        for process in processes.withLock({ $0 }) { process?.killAndWait() }
    }
}
