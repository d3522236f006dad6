import NIOConcurrencyHelpers

/// Whether the node is ready, and why not: what `/readyz` answers.
final class NodeStatus: Sendable {
    private let reasons = NIOLockedValueBox<[String]>(["starting"])

    /// What stands against being ready; empty when the node serves.
    var unreadyReasons: [String] { reasons.withLockedValue { $0 } }

    func become(unreadyBecause reason: String) { reasons.withLockedValue { $0 = [reason] } }

    func becomeReady() { reasons.withLockedValue { $0 = [] } }
}
