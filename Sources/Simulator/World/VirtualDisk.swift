import Primitives

/// What a disk operation came to.
enum DiskFailure: Error {
    /// EIO. After a failed sync the writes that it covered are gone from the kernel's list and not on the platter: a
    /// second sync succeeds and saves nothing (Rebello et al., ATC '20).
    case io
    /// ENOSPC, until there is room again.
    case noSpace
}

/// One directory of files with two images each: live (what a running process reads, as the page cache) and durable
/// (what a power cut leaves). A power cut keeps any subset of the writes not synced, sector by sector; a name is
/// durable only after its directory was synced. A killed process loses nothing, and what it never synced stays
/// unsynced.
///
/// Operations change the live image when they are issued and report after a latency; whoever issued them must have
/// forgotten them by then if its process has died.
final class VirtualDisk {
    static let sectorBytes = 512

    let world: World
    let settings: DiskSettings
    var random: SplitMix64
    var files: [VirtualFile] = []
    /// Live and durable names, sorted by name.
    var names = NameTable()
    var durableNames = NameTable()
    var pendingNames: [NameChange] = []
    /// Writes that need new blocks fail until this time.
    private(set) var fullUntil: UInt64 = 0
    /// Operations that were refused for that so far.
    var refusalsForSpace: UInt64 = 0
    /// Each operation takes this many times as long until then.
    private var slowUntil: UInt64 = 0
    private var slowFactor: UInt64 = 1
    private var hangNextFor: UInt64 = 0
    /// Power cuts so far: what was under way when one came has no effect of its own any more.
    var powerCuts: UInt64 = 0

    init(world: World, settings: DiskSettings, random: SplitMix64) {
        self.world = world
        self.settings = settings
        self.random = random
    }

    /// The fault is on and its dice say yes.
    func strikes(_ fault: Fault, _ numerator: UInt64, in denominator: UInt64) -> Bool {
        let hit = random.chance(numerator, in: denominator)
        return hit && settings.faults.contains(fault) && !world.quiet
    }

    /// Reports `result` after the time that such an operation takes.
    func complete<Success>(
        _ result: Result<Success, DiskFailure>, base: UInt64, bytes: Int = 0,
        _ done: @escaping (Result<Success, DiskFailure>) -> Void
    ) {
        var latency = base / 2 + random.below(base) + UInt64(bytes)
        if world.now < slowUntil {
            latency *= slowFactor
            world.faults.took(.slowDisk)
        }
        if hangNextFor > 0 {
            latency += hangNextFor
            hangNextFor = 0
            world.faults.took(.hungDisk)
        }
        world.schedule(after: latency) { done(result) }
    }

    func slowDown(times factor: UInt64, for span: UInt64) {
        world.faults.draw(.slowDisk)
        slowFactor = factor
        slowUntil = world.now + span
    }

    func hangNext(for span: UInt64) {
        world.faults.draw(.hungDisk)
        hangNextFor = span
    }

    func fill(for span: UInt64) {
        world.faults.draw(.diskFull)
        fullUntil = world.now + span
    }

    /// Every trouble that lasts is over.
    func heal() {
        fullUntil = 0
        slowUntil = 0
        hangNextFor = 0
    }
}

/// How a disk behaves for one seed.
struct DiskSettings {
    var faults: FaultSet
    var writeNanoseconds: UInt64 = 60 * Span.microsecond
    var syncNanoseconds: UInt64 = 900 * Span.microsecond
    /// One in so many writes, or syncs, fails when that fault is on.
    var errorEvery: UInt64 = 2_000
}

/// A file's two images.
struct VirtualFile {
    var live: [UInt8] = []
    var durable: [UInt8] = []
    /// Issued, and not covered by a sync that has returned; in order.
    var pending: [PendingWrite] = []
    /// Bytes that have blocks already, written or not.
    var reserved = 0

    struct PendingWrite {
        let offset: Int
        let bytes: [UInt8]
    }
}

/// A directory.
struct NameTable {
    private(set) var entries: [(name: String, file: Int)] = []

    subscript(_ name: String) -> Int? {
        entries.first { $0.name == name }?.file
    }

    mutating func set(_ name: String, _ file: Int) {
        remove(name)
        let place = entries.firstIndex { $0.name > name } ?? entries.count
        entries.insert((name, file), at: place)
    }

    mutating func remove(_ name: String) { entries.removeAll { $0.name == name } }

    mutating func apply(_ change: NameChange) {
        switch change {
        case .link(let name, let file): set(name, file)
        case .unlink(let name): remove(name)
        case .rename(let old, let new):
            guard let file = self[old] else { return }
            remove(old)
            set(new, file)
        }
    }
}

enum NameChange {
    case link(String, Int)
    case unlink(String)
    case rename(String, String)
}
