import Logging
import NIOConcurrencyHelpers
import Primitives

/// What SIGHUP does: reads the configuration again, takes over what can be taken over, and says what it did.
///
/// A configuration that cannot be used changes nothing. One thread at a time.
final class Reload: Sendable {
    /// One thing that can be taken over while the node runs: certificates and tokens have their place here.
    struct Part: Sendable {
        /// The settings that it takes over.
        let settings: Set<String>
        /// Takes them over, and says what was done: one sentence.
        let take: @Sendable (NodeConfiguration) -> String
    }

    private let read: @Sendable () throws -> NodeConfiguration
    private let parts: [Part]
    private let current: NIOLockedValueBox<NodeConfiguration>
    private let logger: Logger

    /// - Parameters:
    ///   - current: what the node runs by.
    ///   - read: reads the configuration as the start did. Blocks on the disk.
    init(
        _ current: NodeConfiguration, parts: [Part], logger: Logger,
        read: @escaping @Sendable () throws -> NodeConfiguration
    ) {
        self.read = read
        self.parts = parts
        self.current = NIOLockedValueBox(current)
        // Whatever the level is before and after: the operator asked, and is answered.
        var logger = logger
        logger.logLevel = .trace
        self.logger = logger
    }

    /// Blocks on the disk.
    func run() {
        let fresh: NodeConfiguration
        do {
            fresh = try read()
        } catch {
            logger.error(
                "SIGHUP: the configuration cannot be used, and the node goes on with the one it has",
                metadata: ["reason": "\(error)"])
            return
        }
        let old = current.withLockedValue { current in
            defer { current = fresh }
            return current
        }
        let changed = fresh.settingsThatDiffer(from: old)
        let done = parts.map { $0.take(fresh) }
        let known = parts.reduce(into: Set<String>()) { $0.formUnion($1.settings) }
        let left = changed.subtracting(known).sorted()
        var metadata: Logger.Metadata = ["done": "\(done.joined(separator: "; "))"]
        if !left.isEmpty { metadata["after-restart"] = "\(left.joined(separator: ", "))" }
        logger.notice("SIGHUP: the configuration was read again", metadata: metadata)
        for warning in fresh.warnings { logger.warning("\(warning)") }
    }
}

extension Reload.Part {
    /// The least level that is logged.
    static func logLevel(_ level: LogLevelSwitch) -> Reload.Part {
        Reload.Part(settings: ["log-level"]) { configuration in
            let old = level.level
            let new = Logger.Level(rawValue: configuration.logLevel) ?? old
            level.level = new
            return old == new ? "log-level stays \(new.rawValue)" : "log-level was \(old.rawValue), is \(new.rawValue)"
        }
    }
}

extension NodeConfiguration {
    /// Names of settings that were given another text, or only in one of the two.
    func settingsThatDiffer(from other: NodeConfiguration) -> Set<String> {
        Set(given.keys).union(other.given.keys).filter { given[$0] != other.given[$0] }
    }
}
