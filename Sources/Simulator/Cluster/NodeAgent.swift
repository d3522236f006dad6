import ClusterCore
import Entities
import HashRing
import LogFormat
import Primitives
import ShardCore

/// A node's part in the cluster, over the virtual metadata store and network: it finds its place at the start, keeps
/// its session, follows the map, sends requests where they belong, and drives the moves that it takes part in.
///
/// What outlives a run of the process is its identity, as its disk has it.
final class NodeAgent {
    unowned let node: Node
    let name: NodeID
    let metadata: VirtualMetadataStore
    let clusterName: String
    /// Where the others are. Only looked up.
    let endpoints: [NodeID: Endpoint]
    /// Whether nobody listens there: a connection to it is refused at once.
    let isDown: (NodeID) -> Bool
    /// A shard is being given to that node: its fate lies with the metadata store.
    var whenHandingOver: (NodeID) -> Void = { _ in }
    /// On the disk.
    var identity: NodeIdentity
    /// An older copy of the identity that the disk was given on purpose; with it the node must not start.
    private(set) var isStaleCopy = false
    private var newest: NodeIdentity?
    /// Taken out of the cluster: it is not started again.
    var isGone = false
    /// It died and is not started again, though it is still a member.
    var isLeftDead = false
    /// It has been started, so clients may know it.
    var isKnown = false

    // Of one run.
    var map: ClusterMap?
    /// Readings of before this one are not acted on: the node has seen, or done, what came later.
    var seen = MetadataRevision.zero
    private var session: SessionID?
    private var isAnnouncing = false
    private var watch: VirtualMetadataStore.Watch?
    private var isReading = false
    private var readers: [(Bool) -> Void] = []
    private var alarm: UInt64 = .max
    var controller: ControllerRole?

    /// Numbers requests to other nodes, over all runs: an answer may come late.
    var lastRequest: UInt64 = 0
    var forwards: [UInt64: RoutedLine] = [:]
    var moveRequests: [UInt64: MoveRequest] = [:]
    var moveTickets: [Ticket: (asker: Endpoint, request: UInt64)] = [:]
    var lastMoveTicket: Ticket = 0
    var lastSessions: [ShardID: MoveSession] = [:]

    struct MoveRequest {
        let shard: ShardID
        let learner: Learner
        let number: UInt64
    }

    var world: World { node.world }
    var now: MonotonicTime { node.clock.monotonic }

    static let retryNanoseconds = 100 * Span.millisecond
    static let sessionNanoseconds = 3 * Span.second

    init(
        node: Node, name: NodeID, identity: NodeIdentity, clusterName: String, metadata: VirtualMetadataStore,
        endpoints: [NodeID: Endpoint], isDown: @escaping (NodeID) -> Bool
    ) {
        self.node = node
        self.name = name
        self.identity = identity
        self.clusterName = clusterName
        self.metadata = metadata
        self.endpoints = endpoints
        self.isDown = isDown
    }

    /// The run is over.
    func stop() {
        watch?.cancel()
        watch = nil
        map = nil
        seen = .zero
        session = nil
        isAnnouncing = false
        isReading = false
        readers = []
        alarm = .max
        forwards = [:]
        moveRequests = [:]
        moveTickets = [:]
        lastSessions = [:]
        controller = nil
    }

    // MARK: The start

    /// Counts the start in the metadata store, settles what a former life left open, and has the log opened.
    func start() {
        readAll { [self] read in
            guard let read, let map = metadata.map(read) else { return again { [self] in start() } }
            let entry = read.value.first { $0.key == .node(name) }
            do {
                let (record, transaction) = try NodeStart.again(
                    identity, clusterName: clusterName, addresses: NodeAddresses(listen: "\(name):1"), map: map,
                    entry: entry, mutants: node.mutants)
                if isStaleCopy { return world.fail(.staleCopyStarted, "node \(name) starts from an old copy") }
                identity = identity(confirmed: record.bootCount - 1, announced: record.bootCount)
                metadata.transact(
                    transaction,
                    done: loop { [self] result in
                        guard case .success(.committed) = result else { return again { [self] in start() } }
                        identity = identity(confirmed: record.bootCount, announced: record.bootCount)
                        settle()
                    })
            } catch {
                refused(error)
            }
        }
    }

    private func refused(_ refusal: any Error) {
        world.trace.note(world.now, .start, 9) { "node \(self.name): may not start: \(refusal)" }
        if isStaleCopy {
            world.faults.took(.staleCopy)
        } else if case StartRefusal.removedNode? = refusal as? StartRefusal {
            isGone = true
        } else {
            world.fail(.startRefused, "node \(name) is refused: \(refusal)")
        }
        node.giveUp()
    }

    /// The disk is replaced by a copy that is so many starts old.
    func takeOldCopy(behind starts: UInt64) {
        newest = identity
        isStaleCopy = true
        let count = identity.bootCount - starts
        identity = identity(confirmed: count, announced: count)
    }

    func takeBackOldCopy() {
        isStaleCopy = false
        // Starts that it counted nevertheless stay counted.
        if let newest { identity = newest }
        newest = nil
    }

    private func identity(confirmed: UInt64, announced: UInt64) -> NodeIdentity {
        NodeIdentity(
            cluster: identity.cluster, node: identity.node, store: identity.store, bootCount: confirmed,
            announcedBootCount: announced)
    }

    /// Changes what records must not say any more, one by one, until a reading has none of them.
    private func settle() {
        readAll { [self] read in
            guard let read, let map = metadata.map(read) else { return again { [self] in settle() } }
            for index in map.shards.indices {
                guard let entry = map.shard(ShardID(UInt32(index))),
                    let transaction = ShardRole.beforeStart(entry, for: name, mutants: node.mutants)
                else { continue }
                world.probes.reached(.settledAtStart)
                return metadata.transact(
                    transaction,
                    done: loop { [self] result in
                        if case .success = result { settle() } else { again { [self] in settle() } }
                    })
            }
            open(map)
        }
    }

    private func open(_ map: ClusterMap) {
        var epochs: [Epoch?] = []
        for (index, record) in map.shards.enumerated() {
            guard case .own(let epoch) = ShardRole(of: record, for: name) else {
                node.stores[index] = nil
                epochs.append(nil)
                continue
            }
            guard node.stores[index] != nil else {
                return world.fail(
                    .acknowledgedWriteLost, "node \(name) owns shard \(index), and there is no store of it")
            }
            epochs.append(epoch)
        }
        node.openLog(epochs: epochs)
    }

    /// The node serves from now on.
    func serving() {
        openSession()
        controller = ControllerRole(agent: self)
        refresh { _ in }
        heartbeat()
    }

    private func heartbeat() {
        node.schedule(after: Span.second) { [self] in
            refresh { _ in }
            heartbeat()
        }
    }

    private func openSession() {
        metadata.openSession(
            timeToLive: Self.sessionNanoseconds,
            done: loop { [self] result in
                guard case .success(let id) = result else { return again { [self] in openSession() } }
                session = id
                announce()
                keepAlive(id)
            })
    }

    /// Makes this node known as alive, under the session of now, wherever the map does not say so.
    private func announce() {
        guard let session, let map, !isAnnouncing,
            let announcement = NodeSession.announcement(
                of: name, bootCount: identity.bootCount, session: session, in: map)
        else { return }
        isAnnouncing = true
        metadata.transact(
            announcement,
            done: loop { [self] result in
                isAnnouncing = false
                if case .success = result { refresh { _ in } } else { again { [self] in refresh { _ in } } }
            })
    }

    private func keepAlive(_ id: SessionID) {
        node.schedule(after: Self.sessionNanoseconds / 3) { [self] in
            metadata.keepAlive(
                id,
                done: loop { [self] result in
                    guard case .success(false) = result else { return keepAlive(id) }
                    session = nil
                    openSession()
                })
        }
    }

    /// The session that what belongs to this run is put under; `nil` while there is none.
    var sessionID: SessionID? { session }

    // MARK: The map

    /// Wraps what the store's answer does: it happens on the node's loop, in this run, or not at all.
    func loop<Value>(_ body: @escaping (Value) -> Void) -> (Value) -> Void {
        let began = node.run
        return { [self] value in
            guard node.run == began else { return }
            node.later { body(value) }()
        }
    }

    func again(_ body: @escaping () -> Void) {
        node.schedule(after: Self.retryNanoseconds / 2 + node.random.below(Self.retryNanoseconds), body)
    }

    private func readAll(_ done: @escaping (MetadataRead<[MetadataEntry]>?) -> Void) {
        metadata.range(MetadataKey(""), done: loop { result in done(try? result.get()) })
    }

    /// Reads the map anew, from now on, and acts on what it says. `done` is told whether it could be read.
    func refresh(_ done: @escaping (Bool) -> Void) {
        readers.append(done)
        if !isReading { readOnce() }
    }

    private func readOnce() {
        isReading = true
        let waiting = readers
        readers = []
        readAll { [self] read in
            isReading = false
            if let read { observe(read) }
            for done in waiting { done(read != nil) }
            if !readers.isEmpty { readOnce() }
            node.pump()
        }
    }

    private func observe(_ read: MetadataRead<[MetadataEntry]>) {
        // Two readings may overtake each other.
        guard read.revision >= seen else { return }
        seen = read.revision
        guard let map = metadata.map(read) else {
            return world.fail(.oneOwner, "the map cannot be read")
        }
        self.map = map
        if watch == nil { beginWatch(after: read.revision) }
        for id in map.shardIDs where !isAtRest(id, map.shards[Int(id.rawValue)]) {
            if let entry = map.shard(id) { observe(entry) }
        }
        announce()
        controller?.observe(map)
    }

    /// The shard moves nowhere, and this node has what the record says that it has.
    private func isAtRest(_ id: ShardID, _ record: ShardRecord) -> Bool {
        guard record.move == nil, node.learner(id) == nil else { return false }
        guard let shard = node.shard(id) else { return record.primary != name }
        return shard.source == nil && record.primary == name && record.epoch == shard.machine.epoch
    }

    private func beginWatch(after revision: MetadataRevision) {
        let began = node.run
        watch = metadata.watch(MetadataKey(""), after: revision) { [self] event in
            guard node.run == began else { return }
            node.later { [self] in
                if case .compacted = event { watch = nil }
                refresh { _ in }
            }()
        }
    }

    /// Reads one shard's record.
    func readShard(_ shard: ShardID, _ done: @escaping (ShardEntry?) -> Void) {
        metadata.get(
            .shard(shard),
            done: loop { [self] result in
                guard let entry = (try? result.get())?.value else { return done(nil) }
                guard let read = try? ShardEntry(entry) else {
                    return world.fail(.oneOwner, "the record of shard \(shard) cannot be read")
                }
                done(read)
            })
    }

    // MARK: Time

    /// Wakes the moves' machines when they asked for it.
    func setAlarm(_ deadline: MonotonicTime?) {
        guard let deadline else { return }
        // A moment that has passed stands until what the machine waits for has come.
        let time = world.now + max(deadline.nanoseconds(since: now), 4 * Span.millisecond)
        guard time < alarm || alarm <= world.now else { return }
        alarm = time
        node.schedule(after: time - world.now) { [self] in
            alarm = .max
            for case let shard? in node.shards { shard.source?.tick(now: now) }
            for case let learner? in node.learners { learner.target.tick(now: now) }
            node.pump()
        }
    }
}
