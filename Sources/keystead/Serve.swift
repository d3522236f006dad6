import ArgumentParser
import Foundation
import NodeRuntime

/// `keystead serve`: one node, until SIGTERM or SIGINT.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run one node.",
        discussion: """
            Every setting can also stand in the environment (KEYSTEAD_LIMITS_ENTITY_BYTES) or in the YAML file
            (limits.entity-bytes). Flags go over the environment, the environment over the file.
            """)

    @Option(help: "YAML file with settings.") var config: String?
    @OptionGroup var settings: SettingFlags

    func run() async throws {
        ProcessStart.prepare()
        let environment = ProcessInfo.processInfo.environment
        let (flags, path) = (settings.given, config ?? environment["KEYSTEAD_CONFIG"])
        let load = { @Sendable () throws(ConfigurationError) -> NodeConfiguration in
            try ConfigurationLoader.load(
                flags: flags, environment: environment, yaml: try path.map(ConfigurationFile.read))
        }
        let configuration: NodeConfiguration
        do {
            configuration = try load()
        } catch {
            error.isRefusal ? Exit.refused("keystead: \(error)") : Exit.usage("keystead: \(error)")
        }
        do {
            try await Node.run(configuration) { try load() }
        } catch let error as NodeStartError {
            error.isRefusal ? Exit.refused("keystead: \(error)") : Exit.failed("keystead: \(error)")
        } catch {
            Exit.failed("keystead: \(error)")
        }
    }
}

/// The settings as flags, in the order of `--help`.
struct SettingFlags: ParsableArguments {
    @Option(help: "Directory of the node's data. (default: keystead-data)") var dataDir: String?
    @Option(help: "HOST:PORT for clients. (default: 127.0.0.1:7070)") var listen: String?
    @Option(help: "HOST:PORT for health, metrics and administration. (default: 127.0.0.1:7071)")
    var adminListen: String?
    @Option(help: "HOST:PORT for other nodes. (default: 127.0.0.1:7072)") var peerListen: String?
    @Option(help: "HOST:PORT that clients should use, where it differs from --listen.") var advertise: String?
    @Option(help: "HOST:PORT that tools should use, where it differs from --admin-listen.")
    var advertiseAdmin: String?
    @Option(help: "HOST:PORT that other nodes should use, where it differs from --peer-listen.")
    var advertisePeer: String?
    @Option(help: "Names that callers may call this node by: NAME,…; localhost and addresses always; * any.")
    var hosts: String?
    @Option(help: "Origins whose web pages may use this node: SCHEME://HOST[:PORT],…") var allowedOrigins: String?
    @Flag(help: "Let others reach listeners that neither TLS nor anything else guards.") var insecure = false
    @Option(help: "embedded, or etcd://HOST:PORT[,HOST:PORT…]; etcds:// with TLS. (default: embedded)")
    var metadata: String?
    @Option(help: "User of the metadata store.") var metadataUser: String?
    @Option(help: "Password of that user. Others can read it here: better as KEYSTEAD_METADATA_PASSWORD or in a file.")
    var metadataPassword: String?
    @Option(help: "File that holds that password; others may not read it.") var metadataPasswordFile: String?
    @Option(help: "PEM file of who signed the metadata store's certificate.") var metadataCa: String?
    @Option(help: "PEM file of this node's certificate for the metadata store.") var metadataCertificate: String?
    @Option(help: "PEM file of that certificate's key.") var metadataKey: String?
    @Option(help: "PEM file of this node's certificate: nodes then speak TLS and check each other.")
    var peerCertificate: String?
    @Option(help: "PEM file of that certificate's key.") var peerKey: String?
    @Option(help: "PEM file of who signs the nodes' certificates.") var peerCa: String?
    @Option(help: "Name of the cluster. (default: keystead)") var cluster: String?
    @Option(name: .customLong("node-id"), help: "Name of this node. (default: n1)") var nodeID: String?
    @Option(help: "Failure zone of this node.") var zone: String?
    @Option(help: "Share of shards relative to other nodes. (default: 1)") var weight: String?
    @Option(help: "Shards of a new cluster: a power of two, 16 to 4096. (default: 64)") var shards: String?
    @Option(help: "Memory for stores, log, callers and peers together. (default: 1GiB)") var memory: String?
    @Option(help: "Event loops; 0 is one for each core. (default: 0)") var eventLoops: String?
    @Option(help: "Largest state, at most 16MiB. (default: 1MiB)") var limitsEntityBytes: String?
    @Option(help: "Most client connections at once. (default: 10000)") var limitsConnections: String?
    @Option(help: "How long the record of an Idempotency-Key is kept. (default: 24h)")
    var idempotencyRetention: String?
    @Option(help: "Least level logged: trace, debug, info, notice, warning, error. (default: info)")
    var logLevel: String?
    @Option(help: "Log lines as text or json. (default: text)") var logFormat: String?
    @Flag(help: "Start although the clock is more than 366 days ahead of the newest data.") var acceptClock = false

    /// The flags that were given, by setting name.
    var given: [String: String] {
        let all: [String: String?] = [
            "data-dir": dataDir, "listen": listen, "admin-listen": adminListen, "peer-listen": peerListen,
            "advertise": advertise, "advertise-admin": advertiseAdmin, "advertise-peer": advertisePeer,
            "hosts": hosts, "allowed-origins": allowedOrigins, "insecure": insecure ? "true" : nil,
            "metadata": metadata, "metadata-user": metadataUser, "metadata-password": metadataPassword,
            "metadata-password-file": metadataPasswordFile, "accept-clock": acceptClock ? "true" : nil,
            "metadata-ca": metadataCa, "metadata-certificate": metadataCertificate, "metadata-key": metadataKey,
            "peer-certificate": peerCertificate, "peer-key": peerKey, "peer-ca": peerCa, "cluster": cluster,
            "node-id": nodeID, "zone": zone, "weight": weight, "shards": shards, "memory": memory,
            "event-loops": eventLoops, "limits.entity-bytes": limitsEntityBytes,
            "limits.connections": limitsConnections, "idempotency.retention": idempotencyRetention,
            "log-level": logLevel, "log-format": logFormat,
        ]
        return all.compactMapValues { $0 }
    }
}
