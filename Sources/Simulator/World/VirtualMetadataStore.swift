import ClusterCore
import Primitives

/// The metadata store as a cluster meets it: keys with revisions, transactions that compare and then change, sessions
/// and watches, with the troubles of a real one. A transaction's outcome may be unknown (done or not, the caller is not
/// told); a watch lags, and ends when what it wants has been compacted; a session ends late, never early; an outage
/// answers nothing but failures.
final class VirtualMetadataStore {
    struct Settings {
        var latency: UInt64 = 2 * Span.millisecond
        /// One in so many transactions has an outcome that the caller is not told, and one in so many is slow; 0 for
        /// none.
        var unknownEvery: UInt64 = 0
        /// How late a slow one happens at most, and one of unknown outcome; and how long the caller of that waits.
        var unknownDelay: UInt64 = 400 * Span.millisecond
        var watchLag: UInt64 = 10 * Span.millisecond
        /// A session lives up to this much longer than it says.
        var sessionGrace: UInt64 = 2 * Span.second
    }

    enum WatchEvent: Equatable {
        case changed(MetadataChange)
        /// The history from here on is gone; read everything and watch anew.
        case compacted(oldest: MetadataRevision)
    }

    /// A watch that is still wanted.
    final class Watch {
        fileprivate let prefix: MetadataKey
        fileprivate var after: MetadataRevision
        fileprivate let deliver: (WatchEvent) -> Void
        fileprivate var isOver = false

        fileprivate init(_ prefix: MetadataKey, after: MetadataRevision, deliver: @escaping (WatchEvent) -> Void) {
            self.prefix = prefix
            self.after = after
            self.deliver = deliver
        }

        func cancel() { isOver = true }
    }

    private struct Session {
        let timeToLive: UInt64
        var expires: UInt64
    }

    private let world: World
    private let settings: Settings
    private var random: SplitMix64
    private(set) var revision = MetadataRevision.zero
    /// In key order.
    private var entries: [MetadataEntry] = []
    private var history: [MetadataChange] = []
    private var compactedThrough = MetadataRevision.zero
    private var sessions: [SessionID: Session] = [:]
    private var lastSession: UInt64 = 0
    private var watches: [Watch] = []
    private var downUntil: UInt64 = 0
    /// The cluster at each of the last revisions: what readers would all decode alike.
    private var state: ClusterState?
    private var maps: [MetadataRevision: ClusterMap] = [:]
    private static let mapsMax: UInt64 = 400
    /// Sees every change as it happens, before anybody is told.
    var committed: (MetadataChange) -> Void = { _ in }
    /// Nothing is left unknown any more.
    var isCalm = false

    init(world: World, settings: Settings, random: SplitMix64) {
        self.world = world
        self.settings = settings
        self.random = random
    }

    /// What is there before anything runs.
    func setUp(_ operations: [MetadataTransaction.Operation]) { apply(operations) }

    /// The simulation is over: lets go of those who watch.
    func tearDown() {
        watches = []
        committed = { _ in }
    }

    // MARK: Reads

    func get(_ key: MetadataKey, done: @escaping (Result<MetadataRead<MetadataEntry?>, MetadataError>) -> Void) {
        answer(done) { [self] in MetadataRead(value: entry(key), revision: revision) }
    }

    /// Every entry whose key begins with `prefix`, in key order.
    func range(
        _ prefix: MetadataKey, done: @escaping (Result<MetadataRead<[MetadataEntry]>, MetadataError>) -> Void
    ) {
        answer(done) { [self] in MetadataRead(value: all(prefix), revision: revision) }
    }

    private func answer<Value>(
        _ done: @escaping (Result<Value, MetadataError>) -> Void, _ read: @escaping () -> Value
    ) {
        afterLatency { [self] in
            guard isUp else { return done(.failure(.unavailable(detail: "outage"))) }
            // The answer is of now and on its way for a while.
            let value = read()
            afterLatency { done(.success(value)) }
        }
    }

    /// The entry as it is, for checkers.
    func entry(_ key: MetadataKey) -> MetadataEntry? {
        let place = place(of: key)
        return place < entries.count && entries[place].key == key ? entries[place] : nil
    }

    /// The index of the first entry that is not before `key`.
    private func place(of key: MetadataKey) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private func all(_ prefix: MetadataKey) -> [MetadataEntry] {
        prefix.text.isEmpty ? entries : entries.filter { $0.key.hasPrefix(prefix) }
    }

    // MARK: Transactions

    /// A slow one happens late; one of unknown outcome late or not at all, and its caller is told so at a time that has
    /// nothing to do with that.
    func transact(
        _ transaction: MetadataTransaction, done: @escaping (Result<TransactionOutcome, MetadataError>) -> Void
    ) {
        let isUnknown = isTroubled()
        let isSlow = isTroubled()
        let happens = !isUnknown || random.chance(1, in: 2)
        let late = isUnknown || isSlow ? random.below(settings.unknownDelay + 1) : 0
        let patience = isUnknown ? random.below(settings.unknownDelay + 1) : 0
        afterLatency { [self] in
            guard isUp else {
                let error: MetadataError =
                    isUnknown ? .outcomeUnknown(detail: "outage") : .unavailable(detail: "outage")
                return done(.failure(error))
            }
            guard isUnknown else {
                return soon(after: late) { [self] in
                    let outcome = commit(transaction)
                    afterLatency { done(outcome) }
                }
            }
            world.faults.hit(.metadataUnknown)
            if happens { world.schedule(after: late) { [self] in _ = commit(transaction) } }
            soon(after: patience) { [self] in
                afterLatency { done(.failure(.outcomeUnknown(detail: "the answer was lost"))) }
            }
        }
    }

    private func isTroubled() -> Bool {
        settings.unknownEvery > 0 && random.chance(1, in: settings.unknownEvery) && !isCalm
    }

    private func soon(after delay: UInt64, _ body: @escaping () -> Void) {
        if delay == 0 { body() } else { world.schedule(after: delay, body) }
    }

    private func commit(_ transaction: MetadataTransaction) -> Result<TransactionOutcome, MetadataError> {
        for case .put(_, _, let session?) in transaction.operations where sessions[session] == nil {
            return .failure(.sessionEnded)
        }
        guard transaction.conditions.allSatisfy(holds) else { return .success(.conflict(revision)) }
        let effective = transaction.operations.filter { operation in
            if case .delete(let key) = operation { entry(key) != nil } else { true }
        }
        guard !effective.isEmpty else { return .success(.committed(revision)) }
        apply(effective)
        return .success(.committed(revision))
    }

    private func holds(_ condition: MetadataTransaction.Condition) -> Bool {
        switch condition {
        case .lastPut(let key, let at): (entry(key)?.modRevision ?? .zero) == at
        case .created(let key, let at): (entry(key)?.createRevision ?? .zero) == at
        case .notCreated(let key, let at): (entry(key)?.createRevision ?? .zero) != at
        }
    }

    private func apply(_ operations: [MetadataTransaction.Operation]) {
        revision = revision.next
        var events: [MetadataChange.Event] = []
        for operation in operations.sorted(by: { $0.key < $1.key }) {
            let place = place(of: operation.key)
            let old = place < entries.count && entries[place].key == operation.key ? entries[place] : nil
            switch operation {
            case .put(let key, let value, let session):
                let entry = MetadataEntry(
                    key: key, value: value, createRevision: old?.createRevision ?? revision, modRevision: revision,
                    session: session)
                if old != nil { entries[place] = entry } else { entries.insert(entry, at: place) }
                events.append(.put(entry))
            case .delete(let key):
                if old != nil { entries.remove(at: place) }
                events.append(.delete(key))
            }
        }
        let change = MetadataChange(revision: revision, events: events)
        history.append(change)
        remember(change)
        world.trace.note(world.now, .metadata, revision.rawValue) {
            "metadata \(self.revision): " + events.map(\.summary).joined(separator: ", ")
        }
        committed(change)
        notifyWatches()
    }

    private func remember(_ change: MetadataChange) {
        if state == nil {
            state = ClusterState(MetadataRead(value: entries, revision: revision))
        } else {
            state?.advance(by: change)
        }
        maps[revision] = try? state?.map()
        if revision.rawValue > Self.mapsMax {
            maps[MetadataRevision(revision.rawValue - Self.mapsMax)] = nil
        }
    }

    /// The cluster as it was read; `nil` where a record cannot be decoded, or there is none.
    func map(_ read: MetadataRead<[MetadataEntry]>) -> ClusterMap? { maps[read.revision] ?? (try? ClusterMap(read)) }

    /// As of the last change.
    var newestMap: ClusterMap? { maps[revision] }

    // MARK: Sessions

    func openSession(timeToLive: UInt64, done: @escaping (Result<SessionID, MetadataError>) -> Void) {
        answer(done) { [self] in
            lastSession += 1
            let id = SessionID(lastSession)
            sessions[id] = Session(timeToLive: timeToLive, expires: world.now + timeToLive)
            expireLater(id)
            return id
        }
    }

    /// Answers whether the session was still there.
    func keepAlive(_ id: SessionID, done: @escaping (Result<Bool, MetadataError>) -> Void) {
        answer(done) { [self] in
            guard let session = sessions[id] else { return false }
            sessions[id]?.expires = world.now + session.timeToLive
            return true
        }
    }

    private func expireLater(_ id: SessionID) {
        guard let expires = sessions[id]?.expires else { return }
        let grace = random.below(settings.sessionGrace + 1)
        world.schedule(after: max(expires, world.now) - world.now + grace) { [self] in
            guard let session = sessions[id] else { return }
            // A store that is down ends nothing, and one that comes back gives every session its whole time again.
            guard isUp, session.expires <= world.now else { return expireLater(id) }
            sessions[id] = nil
            let keys = entries.filter { $0.session == id }.map(\.key)
            if !keys.isEmpty { apply(keys.map { .delete($0) }) }
        }
    }

    // MARK: Watches

    /// Tells every change under `prefix` above `revision`, in order, each once, late.
    func watch(
        _ prefix: MetadataKey, after revision: MetadataRevision, deliver: @escaping (WatchEvent) -> Void
    ) -> Watch {
        let watch = Watch(prefix, after: revision, deliver: deliver)
        watches.append(watch)
        feedLater(watch)
        return watch
    }

    private func notifyWatches() {
        watches.removeAll(where: \.isOver)
        for watch in watches { feedLater(watch) }
    }

    private func feedLater(_ watch: Watch) {
        world.schedule(after: random.below(settings.watchLag + 1)) { [self] in feed(watch) }
    }

    private func feed(_ watch: Watch) {
        guard isUp, !watch.isOver, watch.after < revision else { return }
        guard watch.after >= compactedThrough else {
            watch.isOver = true
            return watch.deliver(.compacted(oldest: compactedThrough.next))
        }
        let after = watch.after
        watch.after = revision
        for change in history where change.revision > after {
            let events = change.events.filter { $0.key.hasPrefix(watch.prefix) }
            guard !events.isEmpty, !watch.isOver else { continue }
            watch.deliver(.changed(MetadataChange(revision: change.revision, events: events)))
        }
    }

    // MARK: Troubles

    /// Forgets the history through `revision`.
    func compact(through revision: MetadataRevision) {
        compactedThrough = max(compactedThrough, min(revision, self.revision))
        history.removeAll { $0.revision <= compactedThrough }
    }

    /// Answers nothing but failures for `span`; afterwards sessions have their whole time again.
    func goDown(for span: UInt64) {
        downUntil = world.now + span
        world.schedule(after: span) { [self] in comeBack() }
    }

    /// An outage is over.
    func heal() {
        downUntil = 0
        comeBack()
    }

    private func comeBack() {
        for (id, session) in sessions { sessions[id]?.expires = world.now + session.timeToLive }
        for watch in watches { feedLater(watch) }
    }

    private var isUp: Bool { world.now >= downUntil }

    private func afterLatency(_ body: @escaping () -> Void) {
        world.schedule(after: settings.latency / 2 + random.below(settings.latency), body)
    }
}

extension MetadataChange.Event {
    fileprivate var summary: String {
        switch self {
        case .put(let entry): "\(entry.key)=" + String(decoding: entry.value.prefix(300), as: UTF8.self)
        case .delete(let key): "-\(key)"
        }
    }
}
