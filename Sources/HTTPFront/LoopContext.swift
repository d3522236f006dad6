internal import NIOCore
internal import Primitives
internal import Serving

/// What the connections of one event loop share: the date, counters, scratch memory, and the list of those connections.
/// Everything here is touched on that loop only.
final class LoopContext {
    let eventLoop: any EventLoop
    let number: LoopNumber
    let cap: ConnectionCap
    let door: DoorPolicy
    /// The field that names the cluster on the answer to a batch, its line end included; empty where there is none.
    let clusterField: [UInt8]
    /// What the connections hold is charged here.
    let memory: MemoryAccount
    /// A page's text ends early behind the item that brings it here.
    let pageTextBytesMax: Int
    var counters = HTTPCounters()
    /// For one request's path or query while it is being read. Emptied by each user.
    var scratch: [UInt8] = []
    /// For a body whose length must be known before its head is written. Emptied by each user.
    var bodyScratch = ByteBuffer()

    /// The wall clock in seconds since 1970.
    let wallSeconds: @Sendable () -> UInt64
    private var jitter: SplitMix64
    private var dateSecond: UInt64?
    private var dateText: [UInt8] = []
    private var connections: [any LoopConnection] = []
    private(set) var isDraining = false
    private var emptied: EventLoopPromise<Void>?

    /// - Parameters:
    ///   - number: the loop's place among the node's.
    ///   - cap: shared by all loops of the listener.
    ///   - door: whom the listener serves.
    ///   - memory: the loop's account.
    ///   - wallSeconds: seconds since 1970, for `Date`.
    ///   - seed: of the jitter in `Retry-After`.
    ///   - clusterID: names the cluster, for `Keystead-Cluster`.
    init(
        eventLoop: any EventLoop, number: LoopNumber, cap: ConnectionCap, door: DoorPolicy, memory: MemoryAccount,
        pageTextBytesMax: Int = Limits.listBytesMax, seed: UInt64, clusterID: String? = nil,
        wallSeconds: @escaping @Sendable () -> UInt64
    ) {
        self.door = door
        self.eventLoop = eventLoop
        self.number = number
        self.cap = cap
        self.clusterField = clusterID.map { Array("Keystead-Cluster: \($0)\r\n".utf8) } ?? []
        self.memory = memory
        self.pageTextBytesMax = pageTextBytesMax
        self.wallSeconds = wallSeconds
        jitter = SplitMix64(seed: seed)
    }

    /// `Date` as IMF-fixdate, formatted once a second.
    func date() -> [UInt8] {
        let second = wallSeconds()
        if second != dateSecond {
            dateSecond = second
            var text = ByteBuffer()
            text.writeFixdate(secondsSince1970: second)
            dateText = Array(text.readableBytesView)
        }
        return dateText
    }

    /// 1 to `Limits.retryAfterSecondsMax`, spread so that refused clients do not come back together.
    func retryAfterSeconds() -> UInt64 { 1 + jitter.below(Limits.retryAfterSecondsMax) }

    // MARK: Connections

    var connectionCount: Int { connections.count }

    func add(_ connection: any LoopConnection) {
        connection.indexInLoop = connections.count
        connections.append(connection)
    }

    func remove(_ connection: any LoopConnection) {
        let index = connection.indexInLoop
        precondition(connections[index] === connection, "a connection is removed once, where it stands")
        connections.swapAt(index, connections.count - 1)
        connections[index].indexInLoop = index
        connections.removeLast()
        if connections.isEmpty { emptied?.succeed() }
    }

    /// Lets every connection answer what is in flight and close; new ones close at once.
    ///
    /// - Returns: done when the last connection has closed.
    func drain() -> EventLoopFuture<Void> {
        isDraining = true
        let promise = emptied ?? eventLoop.makePromise(of: Void.self)
        emptied = promise
        // A copy, since draining one may remove it.
        for connection in Array(connections) { connection.drain() }
        if connections.isEmpty { promise.succeed() }
        return promise.futureResult
    }

    func abandonAll() {
        for connection in Array(connections) { connection.abandon() }
    }
}

/// A connection as its loop's list sees it.
protocol LoopConnection: AnyObject {
    /// Where it stands in the list; kept by ``LoopContext``.
    var indexInLoop: Int { get set }

    /// Takes no new request, answers those in flight and closes.
    func drain()

    /// Closes now, whatever is in flight.
    func abandon()
}
