import LogCore
import LogFormat
import Primitives

/// A node's log over a ``DiskModel``, with stores that lose on a crash what they have not flushed.
struct Rig {
    static let identity = LogIdentity(
        clusterID: .init(high: 1, low: 2), nodeStoreID: .init(high: 3, low: 4))

    /// Small enough that a few records fill a segment.
    static func smallConfiguration(segmentBytes: Int = 8192) -> LogConfiguration {
        var configuration = LogConfiguration()
        configuration.segmentBytes = segmentBytes
        configuration.groupBytesMax = 1024
        configuration.recordBytesMax = 1024
        configuration.groupRecordsMax = 16
        configuration.replayBytesMax = 4 * segmentBytes
        configuration.liveBytesMax = 64 * segmentBytes
        configuration.queueBytesMax = 1 << 20
        configuration.shardsMax = 8
        configuration.lanes = 2
        configuration.fillBytesMax = segmentBytes
        return configuration
    }

    struct Store {
        var flushed: AppliedMark
        /// Payloads by position, from 1, as far as they are applied.
        var payloads: [[UInt8]] = []
        var epoch = Epoch(1)

        init(_ shard: ShardID) {
            flushed = AppliedMark(shard: shard, epoch: Epoch(1), position: .zero, lsn: .zero)
        }

        /// Applied or, if unacknowledged, on the way.
        var lastPosition: Position { Position(UInt64(payloads.count)) }
    }

    let configuration: LogConfiguration
    var disk: DiskModel
    var stores: [ShardID: Store] = [:]
    /// What was offered and accepted, by position: what the log may hold.
    var offered: [ShardID: [[UInt8]]] = [:]
    /// How far each shard was acknowledged.
    var acknowledged: [ShardID: DurableMark] = [:]
    var notices: [LaneNotice] = []
    var machine: LogMachine?
    var queue: LogQueue
    var now = MonotonicTime.zero
    var saltSeed: UInt64 = 1
    var mutants = Mutants.none
    var report = RecoveryReport()
    var replayed: [LogRecord] = []
    /// Replay was not contiguous.
    var replayFault: String?
    /// The crash comes before the step with this number of the disk.
    var crashBefore = Int.max

    init(
        _ configuration: LogConfiguration = Rig.smallConfiguration(), disk: DiskModel = DiskModel(), shards: Int = 3
    ) {
        self.configuration = configuration
        self.disk = disk
        self.queue = LogQueue(configuration: configuration)
        for index in 0..<shards { stores[ShardID(UInt32(index))] = Store(ShardID(UInt32(index))) }
    }

    var applied: [AppliedMark] {
        stores.keys.sorted().compactMap { stores[$0]?.flushed }
    }

    var isCrashed: Bool { disk.stepCount >= crashBefore - 1 }

    // MARK: Opening

    /// Recovers and starts the machine. `nil`: it went well, or the crash came.
    @discardableResult
    mutating func open(files: [LogFileEntry]? = nil, identity: LogIdentity = Rig.identity) -> LogOpenError? {
        saltSeed += 1
        replayed = []
        queue = LogQueue(configuration: configuration)
        machine = nil
        var recovery = LogRecovery(
            configuration: configuration, identity: identity, applied: applied, files: files ?? disk.entries,
            saltSeed: saltSeed, time: Timestamp(milliseconds: 5), mutants: mutants)
        while true {
            switch recovery.next() {
            case .read(let name, let offset, let count, let fresh):
                recovery.read(disk.read(name, offset: offset, count: count, fresh: fresh))
            case .perform(let step):
                if isCrashed { return nil }
                recovery.completed(disk.perform(step))
            case .replay(let records):
                replayed += records
                recovery.replayed()
            case .finished(let start, let report):
                self.report = report
                machine = LogMachine(configuration: configuration, start: start, now: now, mutants: mutants)
                apply(replayed)
                return nil
            case .failed(let error):
                return error
            }
        }
    }

    private mutating func apply(_ records: [LogRecord]) {
        for record in records {
            if stores[record.shard]?.lastPosition.next != record.position {
                replayFault = "replay hands \(record.position) to shard \(record.shard)"
                return
            }
            stores[record.shard]?.payloads.append(record.payload)
            stores[record.shard]?.epoch = record.epoch
        }
    }

    // MARK: Running

    @discardableResult
    mutating func submit(
        _ shard: UInt32, _ payloads: [[UInt8]], lane: Int = 0, type: RecordType = .effect, epoch: UInt64? = nil,
        time: UInt64 = 0, mayWait: Bool = false
    ) -> SubmitResult {
        let shard = ShardID(shard)
        guard let store = stores[shard] else { preconditionFailure("shard \(shard) is held") }
        let reign = epoch.map { Epoch($0) } ?? store.epoch
        let batch = AppendBatch(
            lane: lane, shard: shard, epoch: reign, firstPosition: store.lastPosition.next,
            payloads: payloads, type: type, time: Timestamp(milliseconds: time), mayWait: mayWait)
        let result = queue.submit(batch)
        if result == .accepted {
            stores[shard]?.payloads += payloads
            stores[shard]?.epoch = reign
            offered[shard] = Array((offered[shard] ?? []).prefix(Int(store.lastPosition.rawValue))) + payloads
        }
        return result
    }

    /// Drives both lanes until neither has anything to do; false when the crash came first.
    @discardableResult
    mutating func run(background: Bool = true) -> Bool {
        guard var machine else { return false }
        defer { self.machine = machine }
        while true {
            for batch in queue.drain() { machine.enqueue(batch) }
            var isIdle = true
            if let step = machine.nextStep(now: now) {
                if isCrashed { return false }
                machine.completed(disk.perform(step), now: now)
                isIdle = false
            }
            if background, let step = machine.nextBackgroundStep(now: now) {
                if isCrashed { return false }
                machine.backgroundCompleted(disk.perform(step), now: now)
                isIdle = false
            }
            for notice in machine.takeNotices() {
                notices.append(notice)
                for mark in notice.marks { acknowledged[mark.shard] = mark }
            }
            queue.update(admission: machine.admission, releasing: machine.takeReleasedBytes())
            if isIdle { return true }
        }
    }

    /// The next deadline passes.
    @discardableResult
    mutating func wait() -> Bool {
        guard let deadline = machine?.deadline else { return true }
        now = max(now, deadline)
        return run()
    }

    mutating func flush(_ shard: UInt32) {
        let shard = ShardID(shard)
        guard let mark = acknowledged[shard], let store = stores[shard] else { return }
        stores[shard]?.flushed = AppliedMark(
            shard: shard, epoch: store.epoch, position: mark.position, lsn: mark.lsn)
        machine?.flushed([mark])
    }

    mutating func flushAll() { for shard in stores.keys.sorted() { flush(shard.rawValue) } }

    mutating func close() -> Bool {
        machine?.close()
        run()
        return machine?.isClosed ?? false
    }

    // MARK: Crash

    /// The node after a crash: the disk as given, the stores with what they had flushed.
    func crashed(_ disk: DiskModel) -> Rig {
        var rig = self
        rig.disk = disk
        rig.crashBefore = .max
        rig.machine = nil
        for shard in stores.keys.sorted() {
            guard let store = stores[shard] else { continue }
            rig.stores[shard]?.payloads = Array(store.payloads.prefix(Int(store.flushed.position.rawValue)))
            rig.stores[shard]?.epoch = store.flushed.epoch
        }
        return rig
    }

    /// kill -9: the process is gone, the page cache stays, unsynced writes with it.
    func killed() -> Rig {
        var disk = disk
        disk.forgetSchedule()
        return crashed(disk)
    }

    /// Power cut: everything unsynced is gone.
    func powerCut() -> Rig { crashed(disk.crashed { _ in false }) }

    /// What the stores hold after recovery is wrong if an acknowledged record is missing or anything is there that was
    /// never offered.
    func violation() -> String? {
        if let replayFault { return replayFault }
        for shard in stores.keys.sorted() {
            guard let store = stores[shard] else { continue }
            if report.quarantined.contains(where: { $0.shard == shard }) { return "shard \(shard) is quarantined" }
            let asked = offered[shard] ?? []
            let needed = acknowledged[shard].map { Int($0.position.rawValue) } ?? 0
            if store.payloads.count < needed { return "shard \(shard): \(store.payloads.count) < \(needed)" }
            if store.payloads.count > asked.count { return "shard \(shard) has what was never written" }
            if store.payloads != Array(asked.prefix(store.payloads.count)) { return "shard \(shard) differs" }
        }
        return nil
    }
}
