public import Primitives

/// Where an etcd cluster is and how to get in: `etcd://HOST:PORT[,HOST:PORT…]`, or `etcds://…` for TLS. What must not
/// show in a process list, files and the password, is set beside the text.
public struct EtcdLocation: Sendable, Hashable {
    public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
        /// A name or an address; IPv6 without brackets.
        public let host: String
        public let port: Int

        public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
    }

    /// In the order in which they are tried; each once.
    public let endpoints: [Endpoint]
    public let isTLS: Bool
    /// PEM file of the authorities that vouch for the servers; `nil`: those of the system.
    public var authoritiesFile: String?
    /// PEM files with which this client proves who it is, where the servers ask for it. Both or neither.
    public var certificateFile: String?
    public var keyFile: String?
    /// Of etcd's own authentication. Both or neither.
    public var user: String?
    public var password: Secret?

    /// - Throws: a sentence for the operator.
    public init(_ text: String) throws(EtcdLocationError) {
        let rest: Substring
        if text.hasPrefix("etcd://") {
            (isTLS, rest) = (false, text.dropFirst("etcd://".count))
        } else if text.hasPrefix("etcds://") {
            (isTLS, rest) = (true, text.dropFirst("etcds://".count))
        } else {
            throw EtcdLocationError(text, "it begins neither with etcd:// nor with etcds://")
        }
        var endpoints: [Endpoint] = []
        for part in rest.split(separator: ",", omittingEmptySubsequences: false) {
            guard let endpoint = Endpoint(part) else { throw EtcdLocationError(text, "'\(part)' is not HOST:PORT") }
            guard !endpoints.contains(endpoint) else { throw EtcdLocationError(text, "\(endpoint) stands there twice") }
            endpoints.append(endpoint)
        }
        guard endpoints.count <= Limits.etcdEndpointsMax else {
            throw EtcdLocationError(text, "it has more than \(Limits.etcdEndpointsMax) endpoints")
        }
        self.endpoints = endpoints
    }
}

extension EtcdLocation: CustomStringConvertible {
    /// The text again: neither files nor password.
    public var description: String {
        (isTLS ? "etcds://" : "etcd://") + endpoints.map(\.description).joined(separator: ",")
    }
}

extension EtcdLocation.Endpoint {
    fileprivate init?(_ text: Substring) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = Int(digits),
            (1...65535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.first == "[" {
            guard host.last == "]" else { return nil }
            host = host.dropFirst().dropLast()
            guard host.contains(":"), host.utf8.allSatisfy(Self.isAddressByte) else { return nil }
        } else {
            guard host.utf8.allSatisfy(Self.isNameByte) else { return nil }
        }
        guard !host.isEmpty else { return nil }
        self.host = String(host)
        self.port = port
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    private static func isAddressByte(_ byte: UInt8) -> Bool { isNameByte(byte) || byte == UInt8(ascii: ":") }
}

/// Why a text is no ``EtcdLocation``.
public struct EtcdLocationError: Error, Sendable, Hashable, CustomStringConvertible {
    public let description: String

    init(_ text: String, _ reason: String) {
        description = "'\(text)' is not a place of etcd, etcd://HOST:PORT[,HOST:PORT…]: \(reason)"
    }
}
