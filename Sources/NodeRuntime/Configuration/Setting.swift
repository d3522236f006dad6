import ClusterMetadata
import Entities
import Primitives

/// One thing that can be set, under one name: `--limits-entity-bytes` as a flag, `KEYSTEAD_LIMITS_ENTITY_BYTES` in the
/// environment, `limits.entity-bytes` (or `limits:` with `entity-bytes:` below) in the file.
public struct Setting: Sendable {
    public let name: String
    public let help: String
    public let defaultText: String
    /// Puts `text` into the configuration; throws what is wrong with it.
    let apply: @Sendable (_ text: String, _ configuration: inout NodeConfiguration) throws(SettingError) -> Void
    /// Its value shows nowhere.
    public var isSecret = false

    public var flag: String { "--" + name.replacing(".", with: "-") }
    public var environmentName: String {
        "KEYSTEAD_" + String(name.uppercased().map { $0 == "-" || $0 == "." ? "_" : $0 })
    }
}

/// What is wrong with a value, to be completed with where it came from.
struct SettingError: Error {
    let expected: String
    /// The value may hold a secret.
    var hidesText = false
}

extension Setting {
    /// Every setting, in the order of `--help`.
    public static let all: [Setting] = network + doors + metadata + peerTLS + placement + bounds + diagnosis

    private static let network = [
        Setting(name: "data-dir", help: "Directory of the node's data.", defaultText: "keystead-data") {
            text, configuration throws(SettingError) in
            guard !text.isEmpty else { throw SettingError(expected: "a directory") }
            configuration.dataDirectory = text
        },
        address("listen", "Address for clients.", "127.0.0.1:7070", \.listen),
        address("admin-listen", "Address for health, metrics and administration.", "127.0.0.1:7071", \.adminListen),
        address("peer-listen", "Address for other nodes.", "127.0.0.1:7072", \.peerListen),
        optionalAddress("advertise", "Address that clients should use, where it differs from listen.", \.advertise),
        optionalAddress(
            "advertise-admin", "Address that tools should use, where it differs from admin-listen.", \.advertiseAdmin),
        optionalAddress(
            "advertise-peer", "Address that other nodes should use, where it differs from peer-listen.",
            \.advertisePeer),
    ]

    private static let doors = [
        Setting(
            name: "hosts",
            help: "Names that callers may call this node by: NAME,…; localhost and addresses always; * any.",
            defaultText: ""
        ) { text, configuration throws(SettingError) in
            configuration.hosts = try list(text, of: "names without ports, as in a.example,b.example, or *") {
                $0 == "*" || isHostName($0)
            }
        },
        Setting(
            name: "allowed-origins", help: "Origins whose web pages may use this node: SCHEME://HOST[:PORT],…",
            defaultText: ""
        ) { text, configuration throws(SettingError) in
            let most = NodeConfiguration.allowedOriginsMax
            let expected = "at most \(most) origins, as in https://a.example,http://b.example:8080"
            configuration.allowedOrigins = try list(text, of: expected, where: NodeConfiguration.isOrigin)
            guard configuration.allowedOrigins.count <= most else {
                throw SettingError(expected: expected)
            }
        },
        Setting(
            name: "insecure", help: "Let others reach listeners that neither TLS nor anything else guards.",
            defaultText: "false"
        ) { text, configuration throws(SettingError) in
            configuration.isInsecure = ["true", "1"].contains(try choice(text, of: ["true", "false", "1", "0"]))
        },
    ]

    private static let metadata = [
        Setting(
            name: "metadata",
            help: "Where the cluster's metadata is: embedded, or etcd://HOST:PORT[,HOST:PORT…] (etcds:// with TLS).",
            defaultText: "embedded"
        ) { text, configuration throws(SettingError) in
            if text == "embedded" { return configuration.metadata = .embedded }
            guard !text.contains("@") else {
                throw SettingError(
                    expected: "without a user and a password: give those by metadata-user and metadata-password-file",
                    hidesText: true)
            }
            do {
                configuration.metadata = .etcd(try EtcdLocation(text))
            } catch {
                throw SettingError(expected: "embedded or etcd://HOST:PORT[,HOST:PORT…] (\(error))")
            }
        },
        plain("metadata-user", "User of the metadata store.", \.metadataCredentials.user),
        Setting(
            name: "metadata-password", help: "Password of that user; better given in a file or in the environment.",
            defaultText: "",
            apply: { text, configuration throws(SettingError) in
                configuration.metadataCredentials.password = Secret(text)
                configuration.metadataCredentials.passwordFile = ""
            }, isSecret: true),
        Setting(
            name: "metadata-password-file", help: "File that holds that password; others may not read it.",
            defaultText: ""
        ) { text, configuration throws(SettingError) in
            configuration.metadataCredentials.passwordFile = text
            configuration.metadataCredentials.password = .none
        },
        plain(
            "metadata-ca", "PEM file of who signed the metadata store's certificate.",
            \.metadataCredentials.authority),
        plain(
            "metadata-certificate", "PEM file of this node's certificate for the metadata store.",
            \.metadataCredentials.certificate),
        plain("metadata-key", "PEM file of that certificate's key.", \.metadataCredentials.key),
    ]

    private static let peerTLS = [
        peerFile(
            "peer-certificate", "PEM file of this node's certificate: nodes then speak TLS and check each other.",
            \.certificate),
        peerFile("peer-key", "PEM file of that certificate's key.", \.key),
        peerFile("peer-ca", "PEM file of who signs the nodes' certificates.", \.authority),
    ]

    private static let placement = [
        Setting(name: "cluster", help: "Name of the cluster.", defaultText: "keystead") {
            text, configuration throws(SettingError) in
            configuration.cluster = try name(text)
        },
        Setting(name: "node-id", help: "Name of this node.", defaultText: "n1") {
            text, configuration throws(SettingError) in
            configuration.nodeID = try name(text)
        },
        Setting(name: "zone", help: "Failure zone of this node.", defaultText: "") {
            text, configuration throws(SettingError) in
            configuration.zone = text.isEmpty ? "" : try name(text)
        },
        Setting(name: "weight", help: "Share of shards relative to other nodes.", defaultText: "1") {
            text, configuration throws(SettingError) in
            guard let weight = Double(text), weight > 0, weight <= 1000 else {
                throw SettingError(expected: "a number above 0, at most 1000")
            }
            configuration.weight = weight
        },
        Setting(
            name: "shards", help: "Shards of a new cluster: a power of two, 16 to 4096. Fixed at creation.",
            defaultText: "64"
        ) { text, configuration throws(SettingError) in
            guard let shards = Int(text), (Limits.shardsMin...Limits.shardsMax).contains(shards),
                shards & (shards - 1) == 0
            else { throw SettingError(expected: "a power of two from \(Limits.shardsMin) to \(Limits.shardsMax)") }
            configuration.shards = shards
            configuration.shardsAreGiven = true
        },
    ]

    private static let bounds = [
        Setting(
            name: "memory", help: "Memory for stores, log, callers and peers together.", defaultText: "1GiB"
        ) { text, configuration throws(SettingError) in
            configuration.memoryBytes = try size(text, in: Limits.memoryBytesMin...(1 << 42))
        },
        Setting(name: "event-loops", help: "Event loops; 0 is one for each core.", defaultText: "0") {
            text, configuration throws(SettingError) in
            configuration.eventLoops = try integer(text, in: 0...256)
        },
        Setting(name: "limits.entity-bytes", help: "Largest state, at most 16MiB.", defaultText: "1MiB") {
            text, configuration throws(SettingError) in
            configuration.entityLimits.entityBytesMax = try size(text, in: 1...Limits.entityBytesCeiling)
        },
        Setting(name: "limits.connections", help: "Most client connections at once.", defaultText: "10000") {
            text, configuration throws(SettingError) in
            configuration.connectionsMax = try integer(text, in: 1...1_000_000)
        },
        duration(
            "idempotency.retention", "How long the record of an Idempotency-Key is kept.", "24h", 60...31_536_000,
            \.idempotencyRetentionSeconds),
    ]

    private static let diagnosis = [
        Setting(
            name: "log-level", help: "Least level logged: trace, debug, info, notice, warning, error.",
            defaultText: "info"
        ) { text, configuration throws(SettingError) in
            configuration.logLevel = try choice(
                text, of: ["trace", "debug", "info", "notice", "warning", "error", "critical"])
        },
        Setting(name: "log-format", help: "Log lines as text or json.", defaultText: "text") {
            text, configuration throws(SettingError) in
            let name = try choice(text, of: NodeConfiguration.LogFormatName.allCases.map(\.rawValue))
            configuration.logFormat = .init(rawValue: name) ?? .text
        },
        Setting(
            name: "accept-clock",
            help: "Start although the clock is more than 366 days ahead of the newest data.", defaultText: "false"
        ) { text, configuration throws(SettingError) in
            configuration.acceptsClock = ["true", "1"].contains(try choice(text, of: ["true", "false", "1", "0"]))
        },
        Setting(
            name: "unsafe-no-sync",
            help: "For measuring only: answers writes before they are on stable storage, so a crash loses them.",
            defaultText: "false"
        ) { text, configuration throws(SettingError) in
            configuration.unsafeNoSync = ["true", "1"].contains(try choice(text, of: ["true", "false", "1", "0"]))
        },
    ]
}

// MARK: - Kinds of value

extension Setting {
    private static func address(
        _ name: String, _ help: String, _ defaultText: String,
        _ path: any (WritableKeyPath<NodeConfiguration, HostPort> & Sendable)
    ) -> Setting {
        Setting(name: name, help: help, defaultText: defaultText) { text, configuration throws(SettingError) in
            guard let address = HostPort(text) else { throw SettingError(expected: "HOST:PORT") }
            configuration[keyPath: path] = address
        }
    }

    private static func optionalAddress(
        _ name: String, _ help: String, _ path: any (WritableKeyPath<NodeConfiguration, HostPort?> & Sendable)
    ) -> Setting {
        Setting(name: name, help: help, defaultText: "") { text, configuration throws(SettingError) in
            guard !text.isEmpty else { return configuration[keyPath: path] = nil }
            guard let address = HostPort(text) else { throw SettingError(expected: "HOST:PORT") }
            configuration[keyPath: path] = address
        }
    }

    private static func plain(
        _ name: String, _ help: String, _ path: any (WritableKeyPath<NodeConfiguration, String> & Sendable)
    ) -> Setting {
        Setting(name: name, help: help, defaultText: "") { text, configuration throws(SettingError) in
            configuration[keyPath: path] = text
        }
    }

    private static func peerFile(
        _ name: String, _ help: String, _ path: any (WritableKeyPath<TLSFiles, String> & Sendable)
    ) -> Setting {
        Setting(name: name, help: help, defaultText: "") { text, configuration throws(SettingError) in
            var files = configuration.peerTLS ?? TLSFiles()
            files[keyPath: path] = text
            configuration.peerTLS = files == TLSFiles() ? nil : files
        }
    }

    private static func duration(
        _ name: String, _ help: String, _ defaultText: String, _ range: ClosedRange<UInt64>,
        _ path: any (WritableKeyPath<NodeConfiguration, UInt64> & Sendable)
    ) -> Setting {
        Setting(name: name, help: help, defaultText: defaultText) { text, configuration throws(SettingError) in
            let units: [(String, UInt64)] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)]
            let unit = units.first { text.hasSuffix($0.0) }
            let digits = unit == nil ? text[...] : text.dropLast()
            let seconds = UInt64(digits).map { $0.multipliedReportingOverflow(by: unit?.1 ?? 1) }
            guard let seconds, !seconds.overflow, range.contains(seconds.partialValue) else {
                throw SettingError(
                    expected: "a time such as 30s, 10m or 24h, from \(range.lowerBound)s to \(range.upperBound)s")
            }
            configuration[keyPath: path] = seconds.partialValue
        }
    }

    private static func name(_ text: String) throws(SettingError) -> String {
        let allowed = text.utf8.allSatisfy {
            switch $0 {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        guard allowed, (1...64).contains(text.utf8.count) else {
            throw SettingError(expected: "1 to 64 letters, digits, '-', '_' or '.'")
        }
        return text
    }

    /// Parts between commas, without the spaces round them.
    private static func list(
        _ text: String, of expected: String, where isSound: (String) -> Bool
    ) throws(SettingError) -> [String] {
        guard !text.isEmpty else { return [] }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
        guard parts.allSatisfy(isSound) else { throw SettingError(expected: expected) }
        return parts
    }

    private static func isHostName(_ text: String) -> Bool {
        let allowed = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
        return allowed && (1...Limits.hostNameBytesMax).contains(text.utf8.count)
    }

    private static func integer(_ text: String, in range: ClosedRange<Int>) throws(SettingError) -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw SettingError(expected: "a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func size(_ text: String, in range: ClosedRange<Int>) throws(SettingError) -> Int {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)]
        let unit = units.first { text.hasSuffix($0.0) }
        let digits = text.dropLast(unit?.0.count ?? 0)
        let bytes = Int(digits).map { $0.multipliedReportingOverflow(by: unit?.1 ?? 1) }
        guard let bytes, !bytes.overflow, range.contains(bytes.partialValue) else {
            throw SettingError(
                expected: "a size such as 512MiB or 1GiB, from \(range.lowerBound) to \(range.upperBound) bytes")
        }
        return bytes.partialValue
    }

    private static func choice(_ text: String, of names: [String]) throws(SettingError) -> String {
        guard names.contains(text) else { throw SettingError(expected: names.joined(separator: ", ")) }
        return text
    }
}
