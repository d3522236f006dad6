import Primitives
import RocksStore
import Synchronization
import Testing

@Suite struct ConcurrencyTests {
    let temporary = TemporaryDirectory()

    /// One writer replaces pairs of rows in one batch; readers beside it see each row whole, of a version that never
    /// goes back, and a scan sees all rows of one batch alike.
    @Test func readersBesideOneWriter() throws {
        let store = try ShardStore.new(temporary.child("shard"))
        try Self.write(store, version: 1)
        let done = Flag()
        let readers = (0..<3).map { seed in
            { @Sendable () throws in try Self.read(store, seed: seed, until: done) }
        }
        try inParallel(
            readers + [
                {
                    defer { done.raise() }
                    for version in 2..<300 {
                        try Self.write(store, version: version)
                        if version % 50 == 0 { try store.flush() }
                    }
                }
            ])
        #expect(store.applied == mark(299))
    }

    private static func write(_ store: ShardStore, version: Int) throws {
        var batch = StoreBatch()
        for number in 0..<20 { batch.put(row: row(number), value: value(version, number / 2)) }
        try store.apply(&batch, applied: mark(UInt64(version)))
    }

    private static func value(_ version: Int, _ pair: Int) -> [UInt8] {
        var writer = ByteWriter()
        writer.write(UInt64(version))
        writer.write([UInt8](repeating: UInt8(truncatingIfNeeded: version &+ pair), count: 500))
        return writer.bytes
    }

    private static func read(_ store: ShardStore, seed: UInt64, until done: Flag) throws {
        var random = SplitMix64(seed: seed)
        var latest = [Int](repeating: 0, count: 20)
        while !done.isRaised {
            let number = random.below(20)
            let found = try store.read(row: row(number), from: .disk)
            guard case .found(let bytes) = found, let version = version(of: bytes, pair: number / 2) else {
                throw Disproof(text: "row \(number) read as \(found)")
            }
            guard version >= latest[number] else { throw Disproof(text: "row \(number) went back to \(version)") }
            latest[number] = version
            var versions: [Int?] = []
            try store.scan(from: row(0), below: row(20)) { _, value in
                versions.append(Self.version(of: Array(value), pair: versions.count / 2))
                return .next
            }
            guard versions.count == 20, let first = versions[0], versions.allSatisfy({ $0 == first }) else {
                throw Disproof(text: "a scan saw the versions \(versions)")
            }
        }
    }

    /// The version that a whole value carries; `nil` for a torn one.
    private static func version(of bytes: [UInt8], pair: Int) -> Int? {
        var reader = ByteReader(bytes)
        guard let version = reader.readUInt64().map(Int.init), bytes == value(version, pair) else { return nil }
        return version
    }

    /// Closing waits for whoever is inside; nobody meets a freed handle, and afterwards everyone is refused.
    @Test func closingUnderReaders() throws {
        for round in 0..<10 {
            let store = try ShardStore.new(temporary.child("shard\(round)"))
            try Self.write(store, version: 1)
            let readUntilClosed = { @Sendable () throws in
                do throws(StoreError) {
                    while true {
                        guard case .found = try store.read(row: row(3), from: .disk) else { return }
                    }
                } catch {
                    guard error == .closed else { throw error }
                    return
                }
            }
            try inParallel([readUntilClosed, readUntilClosed, readUntilClosed, { store.close() }])
            #expect(throws: StoreError.closed) { _ = try store.read(row: row(3), from: .disk) }
        }
    }
}

private struct Disproof: Error {
    let text: String
}

private final class Flag: Sendable {
    private let raised = Atomic<Bool>(false)

    var isRaised: Bool { raised.load(ordering: .acquiring) }

    func raise() { raised.store(true, ordering: .releasing) }
}
