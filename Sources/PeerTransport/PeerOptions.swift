public import HashRing
public import NIOCore
internal import NIOSSL
public import PeerWire
public import Primitives

/// Who this node is, as its hello says it.
public struct PeerIdentity: Sendable {
    public let node: NodeID
    public let clusterHigh: UInt64
    public let clusterLow: UInt64
    public let storeHigh: UInt64
    public let storeLow: UInt64
    public let bootCount: UInt64
    /// The cluster's: with it the keys in requests are hashed, and shards are checked.
    public let ring: WireRing

    public init(
        node: NodeID, clusterHigh: UInt64, clusterLow: UInt64, storeHigh: UInt64, storeLow: UInt64, bootCount: UInt64,
        ring: WireRing
    ) {
        self.node = node
        self.clusterHigh = clusterHigh
        self.clusterLow = clusterLow
        self.storeHigh = storeHigh
        self.storeLow = storeLow
        self.bootCount = bootCount
        self.ring = ring
    }

    var hello: PeerHello {
        PeerHello(
            node: node, clusterHigh: clusterHigh, clusterLow: clusterLow, storeHigh: storeHigh, storeLow: storeLow,
            bootCount: bootCount)
    }

    /// Why this node does not speak with the sender of `hello`; `nil` where it does.
    func objection(to other: PeerHello) -> String? {
        if let objection = hello.objection(to: other) { return objection }
        guard other.node != node || (other.storeHigh == storeHigh && other.storeLow == storeLow) else {
            return "another process calls itself \(node) as well, with another store"
        }
        return nil
    }
}

/// A node and where it listens for its peers.
public struct PeerAddress: Sendable, Hashable {
    public let node: NodeID
    public let host: String
    public let port: Int

    public init(node: NodeID, host: String, port: Int) {
        self.node = node
        self.host = host
        self.port = port
    }
}

/// Bounds and times of the peer connections of a node. The same on both sides of a connection keeps a client from being
/// slowed down by the server's bounds before its own.
public struct PeerOptions: Sendable {
    /// Mutual TLS; plain TCP without it.
    public var tls: PeerTLS?
    /// The account of a loop, which frames are charged to. Called on any thread.
    public var memory: @Sendable (any EventLoop) -> MemoryAccount
    /// Requests and their bytes that one connection may have open. Beyond them a client refuses, and a server stops
    /// reading.
    public var inFlightMax = Limits.peerInFlightMax
    public var inFlightBytesMax = Limits.peerInFlightBytesMax
    /// Connections that a server takes.
    public var connectionsMax = Limits.peerConnectionsMax
    /// Whether a server takes one more; `nil`: it does not. Otherwise what is called once, when it has closed. On the
    /// connection's loop.
    public var admit: @Sendable () -> (@Sendable () -> Void)? = { {} }
    /// The listener could not accept: mostly for lack of descriptors. On its loop.
    public var acceptFailed: @Sendable (IOError) -> Void = { _ in }
    public var connectTimeout: TimeAmount = .milliseconds(Limits.peerConnectMillisecondsMax)
    /// From the first byte to both hellos, TLS included.
    public var handshakeTimeout: TimeAmount = .milliseconds(Limits.peerHandshakeMillisecondsMax)
    /// After this much silence a client pings; after three times as much, either side gives the connection up.
    public var pingInterval: TimeAmount = .milliseconds(Limits.peerPingMilliseconds)
    /// The same while somebody waits for an answer; the silence is all of it.
    public var awaitedPingInterval: TimeAmount = .milliseconds(Limits.peerAwaitedPingMilliseconds)
    public var awaitedSilence: TimeAmount = .milliseconds(Limits.peerAwaitedSilenceMilliseconds)
    /// What a request waits for a new connection to a peer that was just out of reach.
    public var reconnectWait: TimeAmount = .milliseconds(Limits.peerReconnectMilliseconds)
    /// So long after it was found out of reach nothing is known of a peer that nobody has tried to reach since.
    public var unreachableFor: TimeAmount = .milliseconds(Limits.peerUnreachableMilliseconds)
    /// After a failed attempt there is none for this long; it doubles with each failure up to the maximum.
    public var backoffMin: TimeAmount = .milliseconds(Limits.peerBackoffMillisecondsMin)
    public var backoffMax: TimeAmount = .milliseconds(Limits.peerBackoffMillisecondsMax)
    /// A client closes a connection that no request has used for this long.
    public var idleTimeout: TimeAmount = .seconds(Limits.peerIdleSecondsMax)

    public init(memory: @escaping @Sendable (any EventLoop) -> MemoryAccount, tls: PeerTLS? = nil) {
        self.memory = memory
        self.tls = tls
    }
}

/// Certificate, key and authority of a node, for both roles. Each side asks the other for a certificate that the
/// authority has signed and lets nobody else in.
public struct PeerTLS: Sendable {
    let client: NIOSSLContext
    let server: NIOSSLContext

    /// Reads PEM files.
    ///
    /// - Parameters:
    ///   - certificate: this node's certificate first, then what leads to the authority.
    ///   - authority: certificates of the authorities that sign the cluster's nodes, and of nobody else.
    ///   - verifiesHostNames: whether a client also checks that the server's certificate names the host (or address)
    ///     that it connected to.
    public init(certificate: String, privateKey: String, authority: String, verifiesHostNames: Bool = true) throws {
        let chain = try NIOSSLCertificate.fromPEMFile(certificate).map { NIOSSLCertificateSource.certificate($0) }
        let key = NIOSSLPrivateKeySource.privateKey(try NIOSSLPrivateKey(file: privateKey, format: .pem))

        var serving = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: key)
        serving.minimumTLSVersion = .tlsv13
        serving.trustRoots = .file(authority)
        // A client has no host name; its certificate must be there and lead to the authority.
        serving.certificateVerification = .noHostnameVerification
        server = try NIOSSLContext(configuration: serving)

        var calling = TLSConfiguration.makeClientConfiguration()
        calling.minimumTLSVersion = .tlsv13
        calling.trustRoots = .file(authority)
        calling.certificateChain = chain
        calling.privateKey = key
        calling.certificateVerification = verifiesHostNames ? .fullVerification : .noHostnameVerification
        client = try NIOSSLContext(configuration: calling)
    }
}
