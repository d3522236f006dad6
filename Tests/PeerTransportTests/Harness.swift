import Entities
import HashRing
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerTransport
import PeerWire
import Primitives

enum Cluster {
    static let seed: UInt64 = 0x5EED

    static func node(_ text: String) -> NodeID {
        guard let node = NodeID(text) else { preconditionFailure("\(text) is the name of a node") }
        return node
    }

    static func identity(_ name: String, cluster: UInt64 = 1) -> PeerIdentity {
        PeerIdentity(
            node: node(name), clusterHigh: cluster, clusterLow: 2, storeHigh: 3, storeLow: UInt64(name.utf8.count),
            bootCount: 1, ring: WireRing(seed: seed, shardCount: 64))
    }

    static func hello(_ name: String) -> PeerHello {
        let identity = identity(name)
        return PeerHello(
            node: identity.node, clusterHigh: identity.clusterHigh, clusterLow: identity.clusterLow,
            storeHigh: identity.storeHigh, storeLow: identity.storeLow, bootCount: identity.bootCount)
    }

    static func key(_ text: String) throws -> EntityKey { try EntityKey(plain: Array(text.utf8)[...], seed: seed) }

    /// A request that carries a number.
    static func numbered(_ number: Int) -> PeerRequest {
        do {
            let read = ReadRequest(key: try key("k/i"), kind: .entity(.none), inQueueOrder: false)
            return .read(read, deadlineMilliseconds: 1000, mapRevision: UInt64(number))
        } catch {
            preconditionFailure("k/i is a key")
        }
    }

    static func put(bytes: Int) throws -> PeerRequest {
        .write(
            WriteOperation(
                key: try key("k/i"),
                action: .put(state: [UInt8](repeating: 7, count: bytes), contentType: [], ttlSeconds: nil)),
            deadlineMilliseconds: 1000, mapRevision: 1)
    }
}

extension PeerRequest {
    var number: UInt64? {
        guard case .read(_, _, let number) = self else { return nil }
        return number
    }
}

/// Does what the test says.
final class ScriptedService: PeerService {
    private let script: @Sendable (PeerRequest, NodeID, PeerReply) -> Void

    init(_ script: @escaping @Sendable (PeerRequest, NodeID, PeerReply) -> Void) { self.script = script }

    func handle(_ request: PeerRequest, from node: NodeID, reply: PeerReply) { script(request, node, reply) }

    /// Answers a numbered request with its number, others with 7.
    static var echo: ScriptedService {
        ScriptedService { request, _, reply in
            reply.send(.notOwner(mapRevision: request.number ?? 7))
        }
    }
}

/// Keeps replies until the test wants them given.
final class HoldingService: PeerService {
    private let held = NIOLockedValueBox<[(PeerRequest, PeerReply)]>([])
    private let seen = NIOLockedValueBox(0)

    func handle(_ request: PeerRequest, from node: NodeID, reply: PeerReply) {
        held.withLockedValue { $0.append((request, reply)) }
        seen.withLockedValue { $0 += 1 }
    }

    var count: Int { held.withLockedValue { $0.count } }
    /// All that ever came.
    var total: Int { seen.withLockedValue { $0 } }

    func take() -> [(PeerRequest, PeerReply)] {
        held.withLockedValue { held in
            defer { held = [] }
            return held
        }
    }

    /// Answers everything held, in the order that `generator` shuffles it into.
    func release(using generator: inout SplitMix64) {
        for (request, reply) in take().shuffled(using: &generator) {
            reply.send(.notOwner(mapRevision: request.number ?? 0))
        }
    }
}

/// Waits for what must come true; the test's own time limit ends a wait in vain.
func eventually(_ condition: () async throws -> Bool) async throws {
    while try await !condition() { try await Task.sleep(for: .milliseconds(5)) }
}

extension PeerClient {
    /// The outcome of one request. A second outcome would trap in the continuation.
    func ask(
        _ request: PeerRequest, _ peer: PeerAddress, lane: PeerLane = .requests,
        deadline: NIODeadline = .now() + .seconds(60), on eventLoop: any EventLoop
    ) async -> PeerOutcome {
        await withCheckedContinuation { continuation in
            send(request, to: peer, lane: lane, deadline: deadline, on: eventLoop) {
                continuation.resume(returning: $0)
            }
        }
    }
}

extension PeerOutcome {
    var notSentText: String? {
        guard case .notSent(let text) = self else { return nil }
        return text
    }

    var lostText: String? {
        guard case .lost(let text) = self else { return nil }
        return text
    }

    var isOverloaded: Bool {
        guard case .overloaded = self else { return false }
        return true
    }

    var isTimedOut: Bool {
        guard case .timedOut = self else { return false }
        return true
    }

    /// The number of an answer to a numbered request.
    var number: UInt64? {
        guard case .response(.notOwner(let number)) = self else { return nil }
        return number
    }

    var refusal: PeerRefusal? {
        guard case .response(.refused(let refusal)) = self else { return nil }
        return refusal
    }
}

extension PeerServer {
    func address(_ name: String) -> PeerAddress {
        PeerAddress(node: Cluster.node(name), host: "127.0.0.1", port: localAddress.port ?? 0)
    }
}

extension PeerOptions {
    /// As a node has them, but with times that a busy machine does not reach. A test of a time sets that time.
    static func patient(tls: PeerTLS? = nil, memory: PlainMemory = PlainMemory()) -> PeerOptions {
        var options = PeerOptions(memory: memory.account, tls: tls)
        options.connectTimeout = .seconds(60)
        options.handshakeTimeout = .seconds(60)
        options.pingInterval = .seconds(60)
        options.awaitedPingInterval = .seconds(60)
        options.awaitedSilence = .seconds(180)
        options.reconnectWait = .seconds(60)
        options.unreachableFor = .seconds(600)
        return options
    }
}

/// A group, a client on it, and what must be closed at the end.
func withClient<Result>(
    loops: Int = 1, options: PeerOptions = .patient(), identity: PeerIdentity = Cluster.identity("client"),
    _ body: (PeerClient, MultiThreadedEventLoopGroup) async throws -> Result
) async throws -> Result {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
    let client = PeerClient(group: group, identity: identity, options: options)
    let result: Swift.Result<Result, any Error>
    do {
        result = .success(try await body(client, group))
    } catch {
        result = .failure(error)
    }
    await client.close()
    try await group.shutdownGracefully()
    return try result.get()
}

/// A server beside the client, on the same loops.
func withPair(
    _ service: any PeerService, loops: Int = 1, options: PeerOptions = .patient(),
    _ body: (PeerClient, PeerServer, MultiThreadedEventLoopGroup) async throws -> Void
) async throws {
    try await withClient(loops: loops, options: options) { client, group in
        let server = try await PeerServer.serve(
            service, on: group, host: "127.0.0.1", port: 0, identity: Cluster.identity("server"), options: options)
        do {
            try await body(client, server, group)
        } catch {
            await server.shutDown(within: .zero)
            throw error
        }
        // What the test left open must not hold it up.
        await server.shutDown(within: .milliseconds(200))
    }
}
