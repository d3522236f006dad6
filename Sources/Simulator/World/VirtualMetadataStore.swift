import Primitives

/// The metadata store as a cluster will meet it: keys with revisions, compare-and-put transactions, leases and watches,
/// with the troubles of a real one. A transaction's outcome may be unknown (done or not, the caller is not told); a
/// watch lags, and ends when what it wants has been compacted; a lease ends late, never early; an outage answers
/// nothing; a rollback restores an older state, as from a backup.
final class VirtualMetadataStore {
    struct Entry: Equatable {
        let value: [UInt8]
        let createRevision: UInt64
        let modRevision: UInt64
        let lease: UInt64?
    }

    /// A revision of 0 demands that the key is absent.
    struct Comparison {
        let key: String
        let modRevision: UInt64
    }

    enum Change: Equatable {
        /// `nil` deletes.
        case put(String, [UInt8]?, lease: UInt64?)
    }

    enum Outcome: Equatable {
        case succeeded(revision: UInt64)
        /// A comparison did not hold.
        case failed(revision: UInt64)
        /// It may have happened. Read before deciding anything.
        case unknown
    }

    enum WatchEvent: Equatable {
        case changed(key: String, value: [UInt8]?, revision: UInt64)
        /// Revisions before this one are gone; read everything and watch anew.
        case compacted(UInt64)
    }

    private struct Watch {
        let prefix: String
        var next: UInt64
        let deliver: (WatchEvent) -> Void
    }

    private let world: World
    private let settings: Settings
    private var random: SplitMix64
    private(set) var revision: UInt64 = 0
    private var entries: [String: Entry] = [:]
    private var log: [(revision: UInt64, change: Change)] = []
    private var compactedBefore: UInt64 = 0
    private var leases: [UInt64: (ttl: UInt64, expires: UInt64)] = [:]
    private var lastLease: UInt64 = 0
    private var watches: [Watch] = []
    private var downUntil: UInt64 = 0

    struct Settings {
        var latency: UInt64 = 2 * Span.millisecond
        /// One in so many transactions has an outcome that the caller is not told; 0 for none.
        var unknownEvery: UInt64 = 0
        var watchLag: UInt64 = 10 * Span.millisecond
        /// A lease lives up to this much longer than it says.
        var leaseGrace: UInt64 = 2 * Span.second
    }

    init(world: World, settings: Settings, random: SplitMix64) {
        self.world = world
        self.settings = settings
        self.random = random
    }

    // MARK: Requests

    /// The key as of now; no answer at all during an outage.
    func get(_ key: String, done: @escaping (Entry?) -> Void) {
        afterLatency { [self] in
            if isUp { done(entries[key]) }
        }
    }

    /// Puts all of `changes` if all comparisons hold, at one revision.
    func transact(_ comparisons: [Comparison], _ changes: [Change], done: @escaping (Outcome) -> Void) {
        let isUnknown = settings.unknownEvery > 0 && random.chance(1, in: settings.unknownEvery)
        let happens = !isUnknown || random.chance(1, in: 2)
        afterLatency { [self] in
            guard isUp else { return done(.unknown) }
            let outcome = happens ? commit(comparisons, changes) : .unknown
            done(isUnknown ? .unknown : outcome)
        }
    }

    private func commit(_ comparisons: [Comparison], _ changes: [Change]) -> Outcome {
        guard comparisons.allSatisfy({ (entries[$0.key]?.modRevision ?? 0) == $0.modRevision }) else {
            return .failed(revision: revision)
        }
        revision += 1
        for change in changes { apply(change) }
        notifyWatches()
        return .succeeded(revision: revision)
    }

    private func apply(_ change: Change) {
        log.append((revision, change))
        guard case .put(let key, let value, let lease) = change else { return }
        entries[key] = value.map {
            Entry(
                value: $0, createRevision: entries[key]?.createRevision ?? revision, modRevision: revision,
                lease: lease)
        }
    }

    // MARK: Leases

    func grantLease(ttl: UInt64, done: @escaping (UInt64) -> Void) {
        afterLatency { [self] in
            guard isUp else { return }
            lastLease += 1
            leases[lastLease] = (ttl, world.now + ttl)
            watchLease(lastLease)
            done(lastLease)
        }
    }

    /// Answers whether the lease was still there.
    func keepAlive(_ lease: UInt64, done: @escaping (Bool) -> Void) {
        afterLatency { [self] in
            guard isUp else { return }
            guard let ttl = leases[lease]?.ttl else { return done(false) }
            leases[lease]?.expires = world.now + ttl
            done(true)
        }
    }

    private func watchLease(_ lease: UInt64) {
        guard let expires = leases[lease]?.expires else { return }
        let grace = random.below(settings.leaseGrace + 1)
        world.schedule(after: max(expires, world.now) - world.now + grace) { [self] in
            guard let current = leases[lease] else { return }
            // A store that is down expires nothing, and one that comes back gives every lease its whole time again.
            guard isUp, current.expires <= world.now else { return watchLease(lease) }
            leases[lease] = nil
            let keys = entries.filter { $0.value.lease == lease }.map(\.key).sorted()
            guard !keys.isEmpty else { return }
            revision += 1
            for key in keys { apply(.put(key, nil, lease: nil)) }
            notifyWatches()
        }
    }

    // MARK: Watches

    /// Tells every change under `prefix` from `revision` on, in order, each once, late.
    func watch(_ prefix: String, from revision: UInt64, deliver: @escaping (WatchEvent) -> Void) {
        watches.append(Watch(prefix: prefix, next: revision, deliver: deliver))
        notifyWatches()
    }

    private func notifyWatches() {
        for index in watches.indices {
            world.schedule(after: random.below(settings.watchLag + 1)) { [self] in feed(index) }
        }
    }

    private func feed(_ index: Int) {
        let watch = watches[index]
        guard isUp, watch.next <= revision else { return }
        guard watch.next >= compactedBefore else {
            watches[index].next = .max
            return watch.deliver(.compacted(compactedBefore))
        }
        watches[index].next = revision + 1
        for (changed, change) in log where changed >= watch.next {
            guard case .put(let key, let value, _) = change, key.hasPrefix(watch.prefix) else { continue }
            watch.deliver(.changed(key: key, value: value, revision: changed))
        }
    }

    // MARK: Troubles

    /// Forgets the history before `revision`.
    func compact(before revision: UInt64) {
        compactedBefore = max(compactedBefore, revision)
        log.removeAll { $0.revision < compactedBefore }
    }

    /// Answers nothing for `span`; afterwards leases have their whole time again.
    func goDown(for span: UInt64) {
        downUntil = world.now + span
        world.schedule(after: span) { [self] in
            leases = leases.mapValues { (ttl: $0.ttl, expires: world.now + $0.ttl) }
            notifyWatches()
        }
    }

    struct Backup {
        fileprivate let revision: UInt64
        fileprivate let entries: [String: Entry]
    }

    var backup: Backup { Backup(revision: revision, entries: entries) }

    /// Goes back to `backup`: revisions are used a second time, and watchers are not told.
    func rollBack(to backup: Backup) {
        revision = backup.revision
        entries = backup.entries
        log.removeAll { $0.revision > backup.revision }
    }

    private var isUp: Bool { world.now >= downUntil }

    private func afterLatency(_ body: @escaping () -> Void) {
        world.schedule(after: settings.latency / 2 + random.below(settings.latency), body)
    }
}
