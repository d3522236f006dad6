import Primitives

/// One thing to ask for.
struct Operation: Equatable {
    let kind: OperationKind
    /// The number of the record; `KeyText` spells it.
    let record: UInt64
}

/// The seeded sequence of operations of one event loop.
///
/// Loops do not talk to each other: new records are numbered in an interleaved way, and "the latest" are those that
/// this loop inserted itself.
struct OperationSource {
    private let workload: Workload
    private let hotUpdate: HotUpdate
    private let distribution: KeyDistribution
    private let records: Int
    private let zipfian: ZipfianDistribution?
    private let index: Int
    private let stride: Int
    private var generator: SplitMix64
    /// Inserts of this loop count from 0. All below `nextInsert` were handed out; those in `openInserts` are not yet
    /// acknowledged, those in `failedInserts` are to be handed out again.
    private var nextInsert = 0
    private var openInserts: [Int] = []
    private var failedInserts: [Int] = []

    init(
        _ configuration: LoadConfiguration, zipfian: ZipfianDistribution?, loop index: Int, generator: SplitMix64
    ) {
        self.workload = configuration.workload
        self.hotUpdate = configuration.hotUpdate
        self.distribution = configuration.keyDistribution
        self.records = configuration.records
        self.zipfian = zipfian
        self.index = index
        self.stride = configuration.loops
        self.generator = generator
    }

    static func needsZipfian(_ configuration: LoadConfiguration) -> Bool {
        configuration.workload != .hot && configuration.keyDistribution != .uniform
    }

    mutating func next() -> Operation {
        if workload == .hot { return Operation(kind: hotUpdate == .increment ? .increment : .update, record: 0) }
        let reads = generator.chance(workload.readPercent, in: 100)
        if reads { return Operation(kind: .read, record: drawRecord()) }
        switch workload {
        case .d: return Operation(kind: .insert, record: takeInsert())
        case .f: return Operation(kind: .readModifyWrite, record: drawRecord())
        case .a, .b, .c, .put, .get, .hot: return Operation(kind: .update, record: drawRecord())
        }
    }

    /// Says how an insert ended. What was not acknowledged is never read, and is inserted again.
    mutating func finishInsert(_ record: UInt64, acknowledged: Bool) {
        let ordinal = (Int(record) - records - index) / stride
        openInserts.removeAll { $0 == ordinal }
        if !acknowledged { failedInserts.append(ordinal) }
    }

    private mutating func takeInsert() -> UInt64 {
        let ordinal: Int
        if let again = failedInserts.popLast() {
            ordinal = again
        } else {
            ordinal = nextInsert
            nextInsert += 1
        }
        openInserts.append(ordinal)
        return record(ofInsert: ordinal)
    }

    private func record(ofInsert ordinal: Int) -> UInt64 {
        UInt64(records + index + ordinal * stride)
    }

    private mutating func drawRecord() -> UInt64 {
        guard let zipfian else { return UInt64(generator.below(records)) }
        let rank = zipfian.draw(&generator)
        return distribution == .latest ? record(ofAge: rank) : Self.scramble(rank, below: records)
    }

    /// Ranks are spread over the records by a fixed permutation-like hash, so that the hot ones share no shard or page.
    static func scramble(_ rank: Int, below records: Int) -> UInt64 {
        var mixer = SplitMix64(seed: UInt64(rank))
        return mixer.below(UInt64(records))
    }

    private func record(ofAge age: Int) -> UInt64 {
        let readable = min(openInserts.min() ?? nextInsert, failedInserts.min() ?? nextInsert)
        if age < readable { return record(ofInsert: readable - 1 - age) }
        return UInt64(records - 1 - (age - readable) % records)
    }
}
