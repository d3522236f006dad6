import LogCore
import LogFormat
import Primitives

/// A disk in memory with a live and a durable image. A crash keeps any chosen subset of what was not synced: pieces of
/// writes (torn at `sectorBytes`) and changes of the directory.
struct DiskModel {
    struct Piece {
        let offset: Int
        let bytes: [UInt8]
    }

    struct File {
        var live: [UInt8] = []
        var durable: [UInt8] = []
        var pending: [Piece] = []

        mutating func sync() {
            for piece in pending { DiskModel.lay(piece.bytes, at: piece.offset, in: &durable) }
            pending = []
        }

        /// The medium is what the cache says.
        mutating func settle() {
            durable = live
            pending = []
        }
    }

    enum Change {
        case link(LogFileName, Int)
        case rename(LogFileName, LogFileName)
        case unlink(LogFileName)
    }

    var files: [Int: File] = [:]
    var live: [LogFileName: Int] = [:]
    var durable: [LogFileName: Int] = [:]
    var changes: [Change] = []
    var nextFile = 0
    var sectorBytes = 512
    /// Bytes that files may take together; beyond it allocation finds no space.
    var capacity = Int.max
    /// Steps done so far, and the errors to answer some of them with.
    var stepCount = 0
    var failures: [Int: StepResult] = [:]
    /// Reads that fail with this errno.
    var unreadable: [LogFileName: Int32] = [:]

    var entries: [LogFileEntry] {
        live.map { LogFileEntry(name: $0.key, byteCount: files[$0.value]?.live.count ?? 0) }
            .sorted { $0.name.description < $1.name.description }
    }

    var usedBytes: Int { live.values.reduce(0) { $0 + (files[$1]?.live.count ?? 0) } }

    func bytes(_ name: LogFileName) -> [UInt8] { live[name].flatMap { files[$0]?.live } ?? [] }

    /// Changes a file behind the log's back, on the medium.
    mutating func tamper(_ name: LogFileName, _ change: (inout [UInt8]) -> Void) {
        guard let id = live[name] else { preconditionFailure("\(name) is there") }
        change(&files[id, default: File()].live)
        files[id]?.settle()
    }

    mutating func remove(_ name: LogFileName) {
        live[name] = nil
        durable[name] = nil
    }

    // MARK: Steps

    mutating func perform(_ step: LogStep) -> StepResult {
        stepCount += 1
        if let failure = failures[stepCount] {
            // A failed sync leaves the pages clean in the cache, and the disk without them.
            if case .sync(let name) = step, let id = live[name] { files[id]?.pending = [] }
            return failure
        }
        switch step {
        case .create(let name):
            changes.append(.link(name, nextFile))
            live[name] = nextFile
            files[nextFile] = File()
            nextFile += 1
        case .allocate(let name, let byteCount):
            return usedBytes - bytes(name).count + byteCount <= capacity ? .done : .noSpace
        case .fill(let name, let range):
            return write(name, range.lowerBound, [UInt8](repeating: 0, count: range.count), tearing: false)
        case .write(let name, let offset, let bytes):
            return write(name, offset, Array(bytes))
        case .sync(let name):
            guard let id = live[name] else { return .failed(2) }
            files[id]?.sync()
        case .rename(let old, let new):
            guard let id = live.removeValue(forKey: old) else { return .failed(2) }
            live[new] = id
            changes.append(.rename(old, new))
        case .delete(let name):
            live[name] = nil
            changes.append(.unlink(name))
        case .syncDirectory:
            durable = live
            changes = []
        }
        return .done
    }

    private mutating func write(_ name: LogFileName, _ offset: Int, _ bytes: [UInt8], tearing: Bool = true)
        -> StepResult
    {
        guard let id = live[name], var file = files[id] else { return .failed(2) }
        guard usedBytes + max(0, offset + bytes.count - file.live.count) <= capacity else { return .noSpace }
        files[id] = nil
        Self.lay(bytes, at: offset, in: &file.live)
        // Sectors of the file, not of the write: that is where a write tears.
        var start = 0
        while start < bytes.count {
            let sectorEnd = (offset + start) / sectorBytes * sectorBytes + sectorBytes - offset
            let end = tearing ? min(sectorEnd, bytes.count) : bytes.count
            file.pending.append(Piece(offset: offset + start, bytes: Array(bytes[start..<end])))
            start = end
        }
        files[id] = file
        return .done
    }

    static func lay(_ bytes: [UInt8], at offset: Int, in image: inout [UInt8]) {
        let end = offset + bytes.count
        if image.count < end { image += [UInt8](repeating: 0, count: end - image.count) }
        image.replaceSubrange(offset..<end, with: bytes)
    }

    /// `fresh` drops the clean pages of the cache: what is left is the medium and what is still to be written to it.
    func read(_ name: LogFileName, offset: Int, count: Int, fresh: Bool) -> ReadResult {
        if let errno = unreadable[name] { return .failed(errno) }
        guard let id = live[name], let file = files[id] else { return .failed(2) }
        var all = fresh ? file.durable : file.live
        if fresh { for piece in file.pending { Self.lay(piece.bytes, at: piece.offset, in: &all) } }
        return .bytes(Array(all[min(offset, all.count)..<min(offset + count, all.count)]))
    }

    // MARK: Crash

    mutating func forgetSchedule() {
        stepCount = 0
        failures = [:]
    }

    /// How many unsynced things there are to keep or lose.
    var unsyncedCount: Int { changes.count + files.keys.sorted().reduce(0) { $0 + (files[$1]?.pending.count ?? 0) } }

    /// What a crash leaves: of the unsynced things, counted changes first and then files in order, those that `keeps`
    /// names.
    func crashed(keeping keeps: (Int) -> Bool) -> DiskModel {
        var disk = self
        disk.forgetSchedule()
        var index = 0
        var names = durable
        for change in changes {
            if keeps(index) { Self.apply(change, to: &names) }
            index += 1
        }
        for id in files.keys.sorted() {
            guard var file = files[id] else { continue }
            for piece in file.pending {
                if keeps(index) { Self.lay(piece.bytes, at: piece.offset, in: &file.durable) }
                index += 1
            }
            file.live = file.durable
            file.pending = []
            disk.files[id] = file
        }
        disk.live = names
        disk.durable = names
        disk.changes = []
        return disk
    }

    private static func apply(_ change: Change, to names: inout [LogFileName: Int]) {
        switch change {
        case .link(let name, let id): names[name] = id
        case .rename(let old, let new): if let id = names.removeValue(forKey: old) { names[new] = id }
        case .unlink(let name): names[name] = nil
        }
    }
}
