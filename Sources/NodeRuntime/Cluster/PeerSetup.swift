import ClusterCore
import NIOCore
import PeerTransport
import PeerWire
import Primitives

extension PeerIdentity {
    init(_ membership: Membership) {
        self.init(
            node: membership.node.id, clusterHigh: membership.config.clusterID.high,
            clusterLow: membership.config.clusterID.low, storeHigh: membership.node.storeID.high,
            storeLow: membership.node.storeID.low, bootCount: membership.node.bootCount,
            ring: WireRing(seed: membership.ringSeed, shardCount: membership.config.shardCount))
    }
}

extension PeerOptions {
    /// Reads the TLS files, where the configuration names some.
    init(_ configuration: NodeConfiguration, _ memory: NodeMemory) throws(NodeStartError) {
        self.init(memory: { memory.loops.account(of: $0) })
        guard let files = configuration.peerTLS else { return }
        guard !files.certificate.isEmpty, !files.key.isEmpty, !files.authority.isEmpty else {
            throw NodeStartError(
                "TLS between nodes needs all three of peer-certificate, peer-key and peer-ca", isRefusal: true)
        }
        do {
            tls = try PeerTLS(certificate: files.certificate, privateKey: files.key, authority: files.authority)
        } catch {
            throw NodeStartError("the TLS files for peers cannot be used: \(error)", isRefusal: true)
        }
    }
}

extension PeerClient {
    /// What became of one request, for callers that wait.
    func send(
        _ request: PeerRequest, to peer: PeerAddress, lane: PeerLane, deadline: NIODeadline, on loop: any EventLoop
    ) async -> PeerOutcome {
        await withCheckedContinuation { continuation in
            send(request, to: peer, lane: lane, deadline: deadline, on: loop) { continuation.resume(returning: $0) }
        }
    }
}
