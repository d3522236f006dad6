public import Primitives

/// The files of a shard's checkpoint.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | epoch of the source |
/// | 8 | 4 | milliseconds for which the source begins no other move |
/// | 12 | 4 | number of files |
/// | 16 | … | files, one after the other: |
/// | +0 | 8 | size in bytes |
/// | +8 | 4 | CRC32C of the whole file |
/// | +12 | 2 | m, length of the name |
/// | +14 | m | name, UTF-8 |
public struct MoveManifest: Sendable, Equatable {
    public struct File: Sendable, Equatable {
        /// Letters, digits, `.`, `_` and `-`, as files of a store are called; no path, and nothing hidden.
        public let name: String
        public let byteCount: UInt64
        public let checksum: UInt32

        public init(name: String, byteCount: UInt64, checksum: UInt32) {
            self.name = name
            self.byteCount = byteCount
            self.checksum = checksum
        }
    }

    public let epoch: Epoch
    public let pauseMilliseconds: UInt32
    public let files: [File]

    private static let fileBytesMin = 14

    public init(epoch: Epoch, pauseMilliseconds: UInt32, files: [File]) {
        self.epoch = epoch
        self.pauseMilliseconds = pauseMilliseconds
        self.files = files
    }

    init(from input: inout WireInput) throws(PeerWireError) {
        epoch = try input.epoch()
        pauseMilliseconds = try input.uint32()
        let count = try input.count(max: Limits.peerManifestFilesMax, bytesEach: Self.fileBytesMin)
        var files: [File] = []
        files.reserveCapacity(count)
        for _ in 0..<count {
            let byteCount = try input.uint64()
            guard byteCount <= Limits.peerFileBytesMax else { throw .malformed("a file is too large") }
            let checksum = try input.uint32()
            let name = try input.text(bytesMax: Limits.peerFileNameBytesMax)
            guard Self.isFileName(name) else { throw .malformed("not the name of a file") }
            files.append(File(name: name, byteCount: byteCount, checksum: checksum))
        }
        self.files = files
    }

    /// Whether a file of a store may be called so: it stays in its folder, and is not taken for half a file.
    public static func isFileName(_ name: String) -> Bool {
        guard let first = name.utf8.first, first != UInt8(ascii: "."), !name.hasSuffix(".part") else { return false }
        return name.utf8.count <= Limits.peerFileNameBytesMax
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    func write<Output: WireOutput>(to output: inout Output) {
        output.write(epoch)
        output.write(pauseMilliseconds)
        output.write(UInt32(files.count))
        for file in files {
            output.write(file.byteCount)
            output.write(file.checksum)
            output.write(file.name, bytesMax: Limits.peerFileNameBytesMax)
        }
    }
}

/// Committed records of a shard that is being moved, contiguous.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | epoch of the source |
/// | 8 | 8 | position of the first record |
/// | 16 | 8 | applied position of the source |
/// | 24 | 1 | phase: 1 streaming, 2 frozen, 3 handed over, 4 restart |
/// | 25 | 8 | frozen: through this position; handed over: the new epoch; else 0 |
/// | 33 | 8 | the source's time, milliseconds since 1970 |
/// | 41 | 4 | number of records |
/// | 45 | … | records, one after the other: |
/// | +0 | 4 | n |
/// | +4 | n | payload, as it stands in the log |
public struct MoveRecords: Sendable, Equatable {
    /// Where the source stands.
    public enum Phase: Sendable, Equatable {
        case streaming
        /// Nothing comes after this position until it is handed over or thawed.
        case frozen(through: Position)
        /// The target is the owner, at this epoch, once it has read so itself.
        case handedOver(Epoch)
        /// The source cannot go on from where the target is: begin again with a checkpoint.
        case restart
    }

    public let epoch: Epoch
    /// Of `payloads[0]`; what comes next where there are none.
    public let first: Position
    public let payloads: [[UInt8]]
    /// The source's.
    public let applied: Position
    public let phase: Phase
    /// The source's. The shard has seen it, so its next owner must not be behind it.
    public let time: Timestamp

    public init(
        epoch: Epoch, first: Position, payloads: [[UInt8]], applied: Position, phase: Phase, time: Timestamp
    ) {
        self.time = time
        self.epoch = epoch
        self.first = first
        self.payloads = payloads
        self.applied = applied
        self.phase = phase
    }

    init(from input: inout WireInput) throws(PeerWireError) {
        epoch = try input.epoch()
        first = try input.position()
        applied = try input.position()
        let tag = try input.uint8()
        let value = try input.counter()
        switch tag {
        case 1: phase = .streaming
        case 2: phase = .frozen(through: Position(value))
        case 3: phase = .handedOver(Epoch(value))
        case 4: phase = .restart
        default: throw .malformed("the phase of a move is unknown")
        }
        time = try input.time()
        // Their bytes are there, so the sums of positions stay far from the end of numbers.
        let count = try input.count(max: Limits.peerRecordsMax, bytesEach: 4)
        var payloads: [[UInt8]] = []
        payloads.reserveCapacity(count)
        for _ in 0..<count {
            let payload = try input.longArray()
            guard payload.count <= Limits.recordBytesMax else { throw .malformed("a record is too long") }
            payloads.append(payload)
        }
        self.payloads = payloads
    }

    func write<Output: WireOutput>(to output: inout Output) {
        output.write(epoch)
        output.write(first)
        output.write(applied)
        let (tag, value): (UInt8, UInt64) =
            switch phase {
            case .streaming: (1, 0)
            case .frozen(let through): (2, through.rawValue)
            case .handedOver(let epoch): (3, epoch.rawValue)
            case .restart: (4, 0)
            }
        output.write(tag)
        output.write(value)
        output.write(time.milliseconds)
        output.write(UInt32(payloads.count))
        for payload in payloads { output.writeLong(payload) }
    }
}

/// How one move is getting on, as one of its two nodes sees it.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | shard |
/// | 4 | 8 | bytes copied |
/// | 12 | 8 | bytes to copy |
/// | 20 | 8 | bytes a second |
/// | 28 | 8 | lag in positions |
/// | 36 | 4 | rounds |
/// | 40 | 8 | bytes a second that it would need; 0 while it converges |
/// | 48 | 2 + m | length and id of the operation |
/// | … | 2 + m | length and name of the stage |
public struct MoveReport: Sendable, Equatable {
    /// As the shard's record names it.
    public enum Stage: String, Sendable, Hashable, CaseIterable {
        case learner
        case copy
        case catchUp = "catch-up"
        case handover
        case retire
    }

    public let shard: ShardID
    public let operation: String
    public let stage: Stage
    public let bytesDone: UInt64
    public let bytesTotal: UInt64
    public let bytesPerSecond: UInt64
    /// Positions that the target is behind.
    public let lag: UInt64
    /// Copies that were begun; more than one after an overflow of the tee.
    public let rounds: UInt32
    /// Where the move does not converge: the rate at which it would. Else 0.
    public let neededBytesPerSecond: UInt64

    private static let bytesMin = 52

    public init(
        shard: ShardID, operation: String, stage: Stage, bytesDone: UInt64, bytesTotal: UInt64,
        bytesPerSecond: UInt64, lag: UInt64, rounds: UInt32, neededBytesPerSecond: UInt64
    ) {
        self.shard = shard
        self.operation = operation
        self.stage = stage
        self.bytesDone = bytesDone
        self.bytesTotal = bytesTotal
        self.bytesPerSecond = bytesPerSecond
        self.lag = lag
        self.rounds = rounds
        self.neededBytesPerSecond = neededBytesPerSecond
    }

    static func readAll(from input: inout WireInput) throws(PeerWireError) -> [MoveReport] {
        let count = try input.count(max: Limits.shardsMax, bytesEach: bytesMin)
        var reports: [MoveReport] = []
        reports.reserveCapacity(count)
        for _ in 0..<count { reports.append(try MoveReport(from: &input)) }
        return reports
    }

    private init(from input: inout WireInput) throws(PeerWireError) {
        shard = try input.shard()
        bytesDone = try input.reportedBytes()
        bytesTotal = try input.reportedBytes()
        bytesPerSecond = try input.reportedBytes()
        lag = try input.counter()
        rounds = try input.uint32()
        neededBytesPerSecond = try input.reportedBytes()
        operation = try input.text(bytesMax: Limits.peerTextBytesMax)
        stage = try input.word()
    }

    func write<Output: WireOutput>(to output: inout Output) {
        output.write(shard)
        output.write(bytesDone)
        output.write(bytesTotal)
        output.write(bytesPerSecond)
        output.write(lag)
        output.write(rounds)
        output.write(neededBytesPerSecond)
        output.write(operation, bytesMax: Limits.peerTextBytesMax)
        output.write(stage.rawValue, bytesMax: Limits.peerTextBytesMax)
    }
}
