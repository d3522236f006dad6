import Glibc

/// Listeners that others can reach (Contract §8.1): which a start is refused for, and why.
struct OpenBinds {
    let configuration: NodeConfiguration
    /// The node belongs to a cluster that other nodes may join, or shares one with them.
    let hasPeers: Bool

    private struct Listener {
        let setting: String
        let address: HostPort
        let advertiseSetting: String
        let advertised: HostPort?
        let isGuarded: Bool
    }

    private var listeners: [Listener] {
        [
            Listener(
                setting: "listen", address: configuration.listen, advertiseSetting: "advertise",
                advertised: configuration.advertise, isGuarded: false),
            Listener(
                setting: "admin-listen", address: configuration.adminListen, advertiseSetting: "advertise-admin",
                advertised: configuration.advertiseAdmin, isGuarded: false),
            Listener(
                setting: "peer-listen", address: configuration.peerListen, advertiseSetting: "advertise-peer",
                advertised: configuration.advertisePeer, isGuarded: configuration.peerTLS != nil),
        ]
    }

    /// Throws a refusal in one sentence: which setting, why, and what to do. Nothing is bound or written before it.
    func check() throws(NodeStartError) {
        try checkGuards()
        try checkAdvertised()
    }

    private func checkGuards() throws(NodeStartError) {
        guard !configuration.isInsecure else { return }
        let open = listeners.filter { !$0.isGuarded && !$0.address.isLoopback }
        guard !open.isEmpty else { return }
        let which = open.map { "\($0.setting) \($0.address)" }.joined(separator: ", ")
        let tls =
            open.contains { $0.address == configuration.peerListen }
            ? ", give peers --peer-certificate, --peer-key and --peer-ca" : ""
        throw NodeStartError(
            "others can reach \(which), and nothing there asks who they are: listen on loopback\(tls), or give "
                + "--insecure where the network lets nobody else in", isRefusal: true)
    }

    private func checkAdvertised() throws(NodeStartError) {
        for listener in listeners {
            if let advertised = listener.advertised, advertised.isWildcard {
                throw NodeStartError(
                    "\(listener.advertiseSetting) is \(advertised), which leads nowhere: name the address that others "
                        + "reach this node at", isRefusal: true)
            }
            guard hasPeers, listener.address.isWildcard, listener.advertised == nil else { continue }
            throw NodeStartError(
                "\(listener.setting) is \(listener.address), which tells the rest of the cluster nothing: name the "
                    + "address that others reach it at with --\(listener.advertiseSetting)", isRefusal: true)
        }
    }
}

extension HostPort {
    /// Only processes of this machine can connect. A name counts as reachable by others, whatever it leads to now.
    var isLoopback: Bool {
        switch numericHost {
        case .v4(let address): address >> 24 == 127
        case .v6(let bytes):
            bytes == Self.v6Loopback || Self.mapped(bytes).map { $0 >> 24 == 127 } ?? false
        case .name: host.lowercased() == "localhost"
        }
    }

    /// Every address of this machine: `0.0.0.0`, `[::]`, however it is written.
    var isWildcard: Bool {
        switch numericHost {
        case .v4(let address): address == 0
        case .v6(let bytes): bytes.allSatisfy { $0 == 0 } || Self.mapped(bytes) == 0
        case .name: false
        }
    }

    var isIPv6: Bool { if case .v6 = numericHost { true } else { false } }

    private enum NumericHost {
        case v4(UInt32)
        case v6([UInt8])
        case name
    }

    private static let v6Loopback = [UInt8](repeating: 0, count: 15) + [1]

    /// The IPv4 address within `::ffff:a.b.c.d`.
    private static func mapped(_ bytes: [UInt8]) -> UInt32? {
        guard bytes[..<10].allSatisfy({ $0 == 0 }), bytes[10] == 0xFF, bytes[11] == 0xFF else { return nil }
        return bytes[12...].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// As a listener reads it: `0` and `127.1` are addresses too. Asks no resolver.
    private var numericHost: NumericHost {
        var v4 = in_addr()
        if inet_aton(host, &v4) == 1 { return .v4(UInt32(bigEndian: v4.s_addr)) }
        let plain = host.prefix { $0 != "%" }
        var v6 = in6_addr()
        guard inet_pton(AF_INET6, String(plain), &v6) == 1 else { return .name }
        return .v6(withUnsafeBytes(of: &v6) { Array($0) })
    }
}
