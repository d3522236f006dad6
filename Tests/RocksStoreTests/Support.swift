import Glibc
import Primitives
import RocksStore
import Synchronization

/// A directory of its own for each test, removed at the end.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/keystead-store-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress, let made = mkdtemp(start) else {
                fatalError("no temporary directory")
            }
            return String(cString: made)
        }
    }

    deinit { remove(path) }

    func child(_ name: String) -> String { path + "/" + name }

    private func remove(_ path: String) {
        for name in names(in: path) {
            let child = path + "/" + name
            if unlink(child) != 0 { remove(child) }
        }
        rmdir(path)
    }
}

func names(in directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// Flips one bit in the middle of a file.
func flipBit(in path: String, at offset: Int) {
    let descriptor = open(path, O_RDWR)
    var byte: UInt8 = 0
    guard pread(descriptor, &byte, 1, off_t(offset)) == 1 else { fatalError("cannot read \(path)") }
    byte ^= 0x10
    guard pwrite(descriptor, &byte, 1, off_t(offset)) == 1 else { fatalError("cannot write \(path)") }
    fsync(descriptor)
    close(descriptor)
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func row(_ number: Int) -> [UInt8] {
    var writer = ByteWriter(reserving: 9)
    writer.write(UInt8(ascii: "E"))
    writer.writeBigEndian(UInt64(number))
    return writer.bytes
}

func mark(_ position: UInt64, epoch: UInt64 = 1, lsn: UInt64? = nil) -> AppliedState {
    AppliedState(epoch: Epoch(epoch), position: Position(position), lsn: LSN(lsn ?? position))
}

extension StoreResources {
    static func small() -> StoreResources {
        var configuration = Configuration()
        configuration.memoryBytes = Limits.memoryBytesMin
        return StoreResources(configuration)
    }
}

extension ShardStore {
    static func new(_ directory: String, expiredRow: RowExpiryFilter? = nil) throws -> ShardStore {
        try open(directory: directory, resources: .small(), create: true, expiredRow: expiredRow)
    }

    func put(_ pairs: [(row: [UInt8], value: [UInt8])], _ applied: AppliedState) throws(StoreError) {
        var batch = StoreBatch()
        for pair in pairs { batch.put(row: pair.row, value: pair.value) }
        try apply(&batch, applied: applied)
    }

    /// Every row but the mark, in order.
    func allRows() throws(StoreError) -> [[UInt8]: [UInt8]] {
        var rows: [[UInt8]: [UInt8]] = [:]
        try scan(from: bytes("A"), below: bytes("M")) { key, value in
            rows[Array(key)] = Array(value)
            return .next
        }
        return rows
    }

    func tableFiles() -> [String] { names(in: directory).filter { $0.hasSuffix(".sst") } }
}

/// Runs each body on a thread of its own (they may block), waits for all, and throws the first error.
func inParallel(_ bodies: [@Sendable () throws -> Void]) throws {
    let workers = bodies.map(Worker.init)
    for worker in workers { worker.start() }
    for worker in workers { worker.join() }
    for worker in workers { try worker.outcome.withLock { $0 }?.get() }
}

final class Worker: Sendable {
    let outcome = Mutex<Result<Void, any Error>?>(nil)
    private let body: @Sendable () throws -> Void
    private let thread = Mutex<pthread_t>(pthread_t())

    init(_ body: @escaping @Sendable () throws -> Void) { self.body = body }

    func start() {
        thread.withLock { thread in
            // SAFETY: the thread takes over the retain that it is given, exactly once.
            let context = Unmanaged.passRetained(self).toOpaque()
            let created = pthread_create(
                &thread, nil,
                { context in
                    guard let context else { return nil }
                    // SAFETY: as above.
                    let worker = Unmanaged<Worker>.fromOpaque(context).takeRetainedValue()
                    let outcome = Result { try worker.body() }
                    worker.outcome.withLock { $0 = outcome }
                    return nil
                }, context)
            precondition(created == 0, "a thread starts")
        }
    }

    func join() { _ = pthread_join(thread.withLock { $0 }, nil) }
}
