internal import NIOCore
internal import Synchronization

/// How many connections a listener has, and how many of them one address holds: at most half, so that no address can
/// shut the others out. Pure: no socket and no lock.
///
/// Connections over a bound do not count against it. A few of them are told so, which takes a moment of a descriptor;
/// the others are closed without a word.
struct ConnectionAllowance {
    enum Verdict: Equatable {
        /// It is served.
        case served
        /// It is answered 503 and closed.
        case told(Bound)
        /// It is closed at once.
        case dropped
    }

    enum Bound: Equatable {
        case connections
        case connectionsOfAddress
    }

    let connectionsMax: Int
    let ofAddressMax: Int
    /// Connections that are served, and those that are being told.
    private(set) var served = 0
    private(set) var told = 0
    private var byAddress: [CallerAddress: Int] = [:]

    /// - Parameter connectionsMax: of all addresses; one address gets half of them, and 1 at least.
    init(connectionsMax: Int) {
        self.connectionsMax = connectionsMax
        ofAddressMax = max(1, connectionsMax / FrontLimits.addressShare)
    }

    /// Counts a new connection. Each is given back once by ``close(_:of:)``, with the verdict that it got.
    ///
    /// - Parameter address: `nil` where there is none, as with sockets of this machine that have paths.
    mutating func open(of address: CallerAddress?) -> Verdict {
        let held = address.map { byAddress[$0] ?? 0 } ?? 0
        guard served < connectionsMax else { return refuse(.connections) }
        guard held < ofAddressMax else { return refuse(.connectionsOfAddress) }
        served += 1
        if let address { byAddress[address] = held + 1 }
        return .served
    }

    private mutating func refuse(_ bound: Bound) -> Verdict {
        guard told < FrontLimits.refusedConnectionsMax else { return .dropped }
        told += 1
        return .told(bound)
    }

    mutating func close(_ verdict: Verdict, of address: CallerAddress?) {
        switch verdict {
        case .dropped: return
        case .told: told -= 1
        case .served:
            served -= 1
            guard let address, let held = byAddress[address] else { return }
            byAddress[address] = held > 1 ? held - 1 : nil
        }
        precondition(served >= 0 && told >= 0, "a connection is closed once")
    }
}

/// Where a connection comes from, without its port. An IPv4 address inside an IPv6 one is the IPv4 address.
struct CallerAddress: Hashable {
    private let high: UInt64
    private let low: UInt64

    /// What stands before an IPv4 address inside an IPv6 one (RFC 4291 §2.5.5.2).
    private static let mapped: UInt64 = 0xFFFF << 32

    /// Where the address stands in a `sockaddr_in` and a `sockaddr_in6`.
    private static let offsetOfIPv4 = 4
    private static let offsetOfIPv6 = 8

    init?(_ address: SocketAddress) {
        switch address {
        case .v4(let address):
            high = 0
            low = withUnsafeBytes(of: address.address) { bytes in
                let host = bytes.loadUnaligned(fromByteOffset: Self.offsetOfIPv4, as: UInt32.self)
                return Self.mapped | UInt64(UInt32(bigEndian: host))
            }
        case .v6(let address):
            (high, low) = withUnsafeBytes(of: address.address) { bytes in
                let high = bytes.loadUnaligned(fromByteOffset: Self.offsetOfIPv6, as: UInt64.self)
                let low = bytes.loadUnaligned(fromByteOffset: Self.offsetOfIPv6 + 8, as: UInt64.self)
                return (UInt64(bigEndian: high), UInt64(bigEndian: low))
            }
        case .unixDomainSocket: return nil
        }
    }
}

/// The ``ConnectionAllowance`` of a listener, for all its loops. Asked where a connection begins and ends.
final class ConnectionCap: Sendable {
    private let allowance: Mutex<ConnectionAllowance>

    init(max: Int) { allowance = Mutex(ConnectionAllowance(connectionsMax: max)) }

    /// Counts one more; any thread.
    func open(of address: CallerAddress?) -> ConnectionAllowance.Verdict {
        allowance.withLock { $0.open(of: address) }
    }

    /// Gives it back.
    func close(_ verdict: ConnectionAllowance.Verdict, of address: CallerAddress?) {
        allowance.withLock { $0.close(verdict, of: address) }
    }
}

extension ConnectionAllowance.Bound {
    var words: String {
        switch self {
        case .connections: "too many connections"
        case .connectionsOfAddress: "too many connections from one address"
        }
    }
}
