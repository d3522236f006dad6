import Foundation
import Glibc
import Synchronization

/// A cluster of `keystead serve` processes on an etcd of its own.
final class TestCluster: Sendable {
    static let shardCount = 16

    let folder: String
    let etcd: TestEtcd
    let name: String
    private let network: TestNetwork?
    private let members = Mutex<[(id: String, node: TestNode)]>([])
    private let keys = Mutex(0)

    init(in folder: String, name: String = "test", etcdMembers: Int = 1) throws {
        self.folder = folder
        self.name = name
        network = nil
        etcd = try TestEtcd(in: folder, members: etcdMembers)
    }

    /// - Parameter network: with a place for each node, and for `etcd`.
    init(in folder: String, name: String = "test", network: TestNetwork) throws {
        self.folder = folder
        self.name = name
        self.network = network
        etcd = try TestEtcd(in: folder, host: network.address("etcd"), launcher: network.launcher("etcd"))
    }

    // MARK: Nodes

    /// Starts etcd and nodes `n1` to `nCOUNT`, and gives each its share of the shards.
    func start(nodes count: Int) throws {
        try etcd.start()
        for number in 1...count { try add("n\(number)").start() }
        try spread()
    }

    /// A node that is part of the cluster from its first start on. Its logs are in `folder/ID`.
    @discardableResult
    func add(_ id: String, flags: [String] = []) throws -> TestNode {
        let node = try make(id, folder: id, flags: flags)
        members.withLock { $0.append((id, node)) }
        return node
    }

    /// A node that calls itself `id` and lives in a folder of its own, for what must be refused.
    func make(_ id: String, folder name: String, dataDirectory: String? = nil, flags: [String] = []) throws
        -> TestNode
    {
        try make(id, folder: name, dataDirectory: dataDirectory, cluster: self.name, flags: flags)
    }

    func make(_ id: String, folder name: String, dataDirectory: String? = nil, cluster: String, flags: [String] = [])
        throws -> TestNode
    {
        let folder = "\(folder)/\(name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return try TestNode(
            in: folder, dataDirectory: dataDirectory,
            flags: [
                "--metadata", etcd.location, "--cluster", cluster, "--node-id", id, "--shards", "\(Self.shardCount)",
                "--memory", "128MiB",
            ] + (network == nil ? [] : ["--insecure"]) + flags,
            host: network?.address(id) ?? "127.0.0.1", keepsPorts: true, launcher: network?.launcher(id) ?? [])
    }

    var ids: [String] { members.withLock { $0.map(\.id) } }

    func node(_ id: String) throws -> TestNode {
        guard let member = members.withLock({ $0.first { $0.id == id } }) else {
            throw HarnessError("there is no node \(id)")
        }
        return member.node
    }

    func endpoint(_ id: String) throws -> Endpoint {
        let node = try node(id)
        return Endpoint(id: id, host: node.host, port: node.port, adminPort: node.adminPort)
    }

    /// The nodes whose processes run and have been ready, paused ones among them.
    var endpoints: [Endpoint] {
        members.withLock { $0 }.filter { $0.node.hasBeenReady && (try? $0.node.process.isRunning) == true }.map {
            Endpoint(id: $0.id, host: $0.node.host, port: $0.node.port, adminPort: $0.node.adminPort)
        }
    }

    func client(_ id: String = "n1") throws -> EntityClient { try endpoint(id).client() }

    func crash(_ id: String) throws { try node(id).crash() }
    func restart(_ id: String) throws { try node(id).start() }
    func pause(_ id: String) throws { try node(id).process.send(signal: SIGSTOP) }
    func resume(_ id: String) throws { try node(id).process.send(signal: SIGCONT) }

    /// Starts again whoever does not run, lets go on whoever is paused, and waits until every node is ready.
    func heal() throws {
        let members = members.withLock { $0 }
        for member in members {
            let process = try member.node.process
            if process.isRunning { process.send(signal: SIGCONT) } else { try member.node.launch() }
        }
        for member in members { try member.node.awaitReady() }
    }

    /// Ends every process of the cluster.
    func stop() {
        for member in members.withLock({ $0 }) { _ = try? member.node.process.killAndWait() }
        etcd.stop()
    }

    // MARK: Commands

    /// Runs `keysteadctl` against a node.
    func control(_ arguments: String..., through id: String = "n1", seconds: Double = 120) throws -> ControlResult {
        let folder = "\(folder)/control"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        return try endpoint(id).control(arguments, in: folder, seconds: seconds)
    }

    func plan(through id: String = "n1") throws -> PlanPicture {
        try control("rebalance", "plan", "--output", "json", through: id).ended().read()
    }

    /// Carries out the plan of now to its end.
    @discardableResult
    func spread(through id: String = "n1") throws -> PlanPicture {
        let plan = try plan(through: id)
        if !plan.moves.isEmpty {
            try control("rebalance", "commit", plan.plan, "--wait", through: id, seconds: 180).ended()
        }
        try settle()
        return plan
    }

    // MARK: Waiting

    /// Waits until nothing moves and no operation runs, and every running node says the same of the cluster.
    @discardableResult
    func settle(within seconds: Double = 90) throws -> ClusterPicture {
        var settled: ClusterPicture?
        var reason = "nobody answered"
        _ = eventually(within: seconds, every: 100) {
            do {
                let endpoints = endpoints
                settled = try Self.agreed(try endpoints.map { try $0.picture(seconds: 5) }, endpoints.map(\.id))
            } catch {
                reason = "\(error)"
            }
            return settled != nil
        }
        guard let settled else { throw HarnessError("the cluster did not settle within \(seconds) s: \(reason)") }
        return settled
    }

    private static func agreed(_ pictures: [ClusterPicture], _ running: [String]) throws -> ClusterPicture {
        guard let first = pictures.first else { throw HarnessError("no node runs") }
        for picture in pictures {
            if let node = picture.nodes.first(where: { $0.state == "down" && running.contains($0.id) }) {
                throw HarnessError("\(node.id) runs and counts as down")
            }
            guard picture.runningOperations.isEmpty else {
                throw HarnessError("operations run: \(picture.runningOperations)")
            }
            if let shard = picture.shards.first(where: { $0.state != "serving" || $0.move != nil }) {
                throw HarnessError("shard \(shard) is not settled")
            }
            guard picture.mapRevision == first.mapRevision, picture.placement == first.placement else {
                throw HarnessError("the nodes disagree: \(pictures.map(\.placement))")
            }
        }
        return first
    }

    /// Waits until `condition` holds of what a node says of the cluster.
    @discardableResult
    func awaitPicture(
        _ what: String, through id: String = "n1", within seconds: Double = 60,
        _ condition: (ClusterPicture) -> Bool
    ) throws -> ClusterPicture {
        var last: ClusterPicture?
        let holds = eventually(within: seconds, every: 50) {
            last = try? endpoint(id).picture(seconds: 5)
            return last.map(condition) ?? false
        }
        guard holds, let last else { throw HarnessError("\(what) did not come about: \(String(describing: last))") }
        return last
    }

    /// A key of `kind` that `id` has, and that no call before gave.
    func freshKey(_ kind: String, on id: String) throws -> String {
        let endpoint = try endpoint(endpoints.first?.id ?? id)
        for _ in 0..<2000 {
            let number = keys.withLock { count in
                count += 1
                return count
            }
            let key = "\(kind)/key-\(number)"
            if try endpoint.place(of: key).node == id { return key }
        }
        throw HarnessError("\(id) seems to have no shard")
    }
}

/// Runs `body` with a cluster of its own, whose processes end with it. When it throws, every log is kept.
func withCluster<R>(
    _ name: String, nodes count: Int = 3, etcdMembers: Int = 1, _ body: (TestCluster) throws -> R
) throws -> R {
    try withTestFolder("cluster-\(name)") { folder in
        let cluster = try TestCluster(in: folder.path, etcdMembers: etcdMembers)
        defer { cluster.stop() }
        if count > 0 { try cluster.start(nodes: count) }
        return try body(cluster)
    }
}

/// The cluster that tests share when they neither stop nor move anything: three nodes, each with its share. Each test
/// keeps to kinds of its own.
enum SharedCluster {
    private static let cluster = Result {
        let folder = try TestFolder("cluster-shared")
        let cluster = try TestCluster(in: folder.path)
        try cluster.start(nodes: 3)
        return cluster
    }

    static func get() throws -> TestCluster { try cluster.get() }
}
