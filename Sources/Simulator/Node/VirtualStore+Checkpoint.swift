import Entities
import Primitives
import ShardCore

/// Checkpoints as RocksDB makes them: some files of which few change from one to the next, under names that come again.
extension VirtualStore {
    struct CheckpointFile {
        let name: String
        let bytes: [UInt8]

        var file: MoveFile { MoveFile(name: name, byteCount: UInt64(bytes.count), crc: CRC32C.checksum(bytes)) }
    }

    static let checkpointTables: UInt64 = 5
    private static let manifestName = "MANIFEST"

    /// Everything applied, the memtable too.
    func checkpoint() -> [CheckpointFile] {
        var tables = (0..<Self.checkpointTables).map { _ in ByteWriter(reserving: 256) }
        for row in scan(prefix: [], after: [], limit: .max) {
            if mutants.has(.idempotencyRowsLeftBehind), row.key.first != StoreRows.entityFamily { continue }
            let table = Int(XXH64.hash(row.key, seed: 7) % Self.checkpointTables)
            tables[table].write(UInt32(row.key.count))
            tables[table].write(row.key)
            tables[table].write(UInt32(row.value.count))
            tables[table].write(row.value)
        }
        var manifest = ByteWriter(reserving: 32)
        for number in [
            appliedMark.position.rawValue, appliedMark.epoch.rawValue, appliedMark.lsn.rawValue,
            appliedMark.time.milliseconds,
        ] {
            manifest.write(number)
        }
        var files = tables.enumerated().map { CheckpointFile(name: "00000\($0).sst", bytes: $1.bytes) }
        files.append(CheckpointFile(name: Self.manifestName, bytes: manifest.bytes))
        return files
    }

    /// A store of the files of a checkpoint; `nil` where they are not that. Its place in the log is not known: the one
    /// that the files name is of another log.
    convenience init?(files: [String: [UInt8]], cacheRows: Int, mutants: Mutants) {
        guard let manifest = files[Self.manifestName], manifest.count == 32 else { return nil }
        var rows = SortedRows()
        for number in 0..<Self.checkpointTables {
            guard let bytes = files["00000\(number).sst"] else { return nil }
            var rest = bytes[...]
            while !rest.isEmpty {
                guard let key = Self.takeField(&rest), let value = Self.takeField(&rest) else { return nil }
                rows.set(key, value)
            }
        }
        let numbers = (0..<4).map { index in
            manifest[(index * 8)..<(index * 8 + 8)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        self.init(cacheRows: cacheRows, mutants: mutants)
        install(
            rows,
            Mark(
                position: Position(numbers[0]), epoch: Epoch(numbers[1]), lsn: .zero,
                time: Timestamp(milliseconds: numbers[3])))
    }

    private static func takeField(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        guard rest.count >= 4 else { return nil }
        let count = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
        rest = rest.dropFirst(4)
        guard count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }
}

/// What a target has fetched of a shard: a directory, as a crash of the node or of its machine leaves it.
struct IncomingFiles {
    /// Complete, synced, under their names. Never iterated: only looked up, or sorted.
    private(set) var complete: [String: [UInt8]] = [:]
    private var partial: [String: [UInt8]] = [:]

    var isEmpty: Bool { complete.isEmpty && partial.isEmpty }

    /// As read back from the disk.
    var files: [MoveFile] {
        complete.sorted { $0.key < $1.key }.map { VirtualStore.CheckpointFile(name: $0.key, bytes: $0.value).file }
    }

    mutating func write(_ name: String, at offset: UInt64, _ bytes: [UInt8]) {
        partial[name, default: []].overlay(bytes, at: Int(offset))
    }

    /// Whether the file is what it should be, and has its name now.
    mutating func finish(_ file: MoveFile) -> Bool {
        let bytes = partial.removeValue(forKey: file.name) ?? []
        guard VirtualStore.CheckpointFile(name: file.name, bytes: bytes).file == file else { return false }
        complete[file.name] = bytes
        return true
    }

    mutating func remove(_ names: [String]) {
        for name in names { complete[name] = nil }
    }

    mutating func removeAll() { self = IncomingFiles() }

    /// Pieces that were not synced are lost.
    mutating func powerCut(_ random: inout SplitMix64) {
        if !partial.isEmpty, random.chance(1, in: 2) { partial.removeAll() }
    }

    /// One bit of a complete file turns over. False: there is none.
    mutating func rot(_ random: inout SplitMix64) -> Bool {
        let names = complete.filter { !$0.value.isEmpty }.keys.sorted()
        guard !names.isEmpty else { return false }
        let name = names[random.below(names.count)]
        guard let bytes = complete[name] else { return false }
        complete[name]?[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
        return true
    }
}
