public import NIOCore
internal import Primitives
internal import Synchronization

/// Who decides whether a listener takes a connection that has come. Asked on the connection's own loop, once, before
/// anything is spent on it.
public protocol ConnectionAdmission: Sendable {
    /// `nil`: too many are open. Otherwise what gives the place back is called once, when the connection has closed.
    func enter(from address: SocketAddress?) -> (@Sendable () -> Void)?

    /// The listener could not accept: mostly for lack of descriptors.
    func acceptFailed(_ error: IOError)
}

/// A listener by itself: its own ``HTTPServer/Options/connectionsMax`` alone counts.
public struct OpenAdmission: ConnectionAdmission {
    public init() {}

    public func enter(from address: SocketAddress?) -> (@Sendable () -> Void)? { {} }

    public func acceptFailed(_ error: IOError) {}
}

/// Where connections of one listener come in. Few of those that are too many are told so; the others are closed without
/// a word, so that refusing them takes no descriptors either.
final class ConnectionDoor: Sendable {
    struct Closed: Error {}

    private let admission: any ConnectionAdmission
    private let refused = Atomic<Int>(0)

    init(_ admission: any ConnectionAdmission) { self.admission = admission }

    /// True: it is served. False: it is told that there are too many.
    ///
    /// - Throws: `Closed`, upon which it is closed.
    func enter(_ channel: any Channel) throws(Closed) -> Bool {
        if let leave = admission.enter(from: channel.remoteAddress) {
            channel.closeFuture.whenComplete { _ in leave() }
            return true
        }
        guard refused.add(1, ordering: .relaxed).newValue <= Limits.refusedConnectionsMax else {
            refused.subtract(1, ordering: .relaxed)
            throw Closed()
        }
        channel.closeFuture.whenComplete { _ in self.refused.subtract(1, ordering: .relaxed) }
        return false
    }
}
