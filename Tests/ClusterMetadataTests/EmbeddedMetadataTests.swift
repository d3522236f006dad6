import ClusterCore
import ClusterMetadata
import Foundation
import Testing

/// A directory of its own for each test, removed at the end.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "keystead-metadata-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct EmbeddedMetadataTests {
    let temporary: TemporaryDirectory
    var file: String { temporary.path + "/metadata" }
    let key = MetadataKey("k")

    init() throws { temporary = try TemporaryDirectory() }

    @Test(arguments: MetadataConformance.all)
    func conforms(_ conformance: MetadataConformance) async throws {
        try await conformance.check(try EmbeddedMetadata(path: file, create: true))
    }

    private func put(_ store: EmbeddedMetadata, _ value: [UInt8]) throws -> TransactionOutcome {
        try store.transaction(MetadataTransaction(then: [.put(key, value)]))
    }

    @Test func survivesReopeningWithItsRevisions() throws {
        var entry: MetadataEntry?
        do {
            let store = try EmbeddedMetadata(path: file, create: true)
            for number in 0..<10 {
                #expect(try put(store, [UInt8(number)]) == .committed(MetadataRevision(UInt64(number) + 1)))
            }
            entry = try store.get(key).value
        }
        let store = try EmbeddedMetadata(path: file, create: false)
        let read = try store.get(key)
        #expect(read.revision == MetadataRevision(10))
        #expect(read.value == entry)
        #expect(try put(store, []) == .committed(MetadataRevision(11)))
    }

    @Test func sessionsEndWithTheProcess() throws {
        do {
            let store = try EmbeddedMetadata(path: file, create: true)
            let session = try store.openSession(timeToLiveSeconds: 5)
            _ = try store.transaction(
                MetadataTransaction(then: [.put(key, [1], session: session.id), .put(MetadataKey("stays"), [2])]))
        }
        let store = try EmbeddedMetadata(path: file, create: false)
        #expect(try store.get(key).value == nil)
        #expect(try store.get(MetadataKey("stays")).value?.value == [2])
        let session = try store.openSession(timeToLiveSeconds: 5)
        _ = try store.transaction(MetadataTransaction(then: [.put(key, [3], session: session.id)]))
        #expect(try store.get(key).value?.value == [3])
    }

    @Test func missingFileIsRefusedUnlessCreating() throws {
        #expect(throws: MetadataError.missing(file: file)) { try EmbeddedMetadata(path: file, create: false) }
        let store = try EmbeddedMetadata(path: file, create: true)
        #expect(try store.get(key).revision == .zero)
    }

    @Test func secondOpenIsRefused() throws {
        let store = try EmbeddedMetadata(path: file, create: true)
        _ = try put(store, [1])
        #expect(throws: MetadataError.lockHeld(file: file)) { try EmbeddedMetadata(path: file, create: false) }
        _ = try put(store, [2])
    }

    /// Every single flipped bit and every cut is found, and the file left as it is.
    @Test func damageIsRefused() throws {
        try { _ = try put(EmbeddedMetadata(path: file, create: true), Array("some value".utf8)) }()
        let whole = try Data(contentsOf: URL(filePath: file))
        var damaged: [Data] = (0..<whole.count).map { whole.prefix($0) }
        for bit in 0..<(whole.count * 8) {
            var copy = whole
            copy[bit / 8] ^= 1 << UInt8(bit % 8)
            damaged.append(copy)
        }
        damaged.append(whole + [0])
        for content in damaged {
            try content.write(to: URL(filePath: file))
            let error = #expect(throws: MetadataError.self) { try EmbeddedMetadata(path: file, create: true) }
            guard case .corrupt(file, _) = error else {
                Issue.record("\(content.count) bytes gave \(String(describing: error))")
                continue
            }
            #expect(try Data(contentsOf: URL(filePath: file)) == content)
        }
    }

    /// Format version 1, byte by byte, kept forever; and the same file of a later version.
    @Test func goldenFile() throws {
        let body: [UInt8] =
            [7, 0, 0, 0, 0, 0, 0, 0] + [1, 0, 0, 0]
            + [1, 0] + Array("k".utf8) + [3, 0, 0, 0, 0, 0, 0, 0] + [7, 0, 0, 0, 0, 0, 0, 0]
            + [0, 0, 0, 0, 0, 0, 0, 0] + [2, 0, 0, 0] + Array("hi".utf8)
        try Data(Self.wrap(body, version: 1)).write(to: URL(filePath: file))
        do {
            let store = try EmbeddedMetadata(path: file, create: false)
            let read = try store.get(key)
            #expect(read.revision == MetadataRevision(7))
            #expect(read.value?.value == Array("hi".utf8))
            #expect(read.value?.createRevision == MetadataRevision(3))
        }
        try Data(Self.wrap(body, version: 2)).write(to: URL(filePath: file))
        #expect(throws: MetadataError.unsupportedFormat(file: file, found: 2, known: 1)) {
            try EmbeddedMetadata(path: file, create: true)
        }
    }

    /// The header around a body, with checksums computed bit by bit (CRC32C, reflected polynomial 82F63B78).
    private static func wrap(_ body: [UInt8], version: UInt8) -> [UInt8] {
        func sum(_ bytes: [UInt8]) -> [UInt8] {
            var crc: UInt32 = .max
            for byte in bytes {
                crc ^= UInt32(byte)
                for _ in 0..<8 { crc = (crc >> 1) ^ (crc & 1 == 1 ? 0x82F6_3B78 : 0) }
            }
            return (0..<4).map { UInt8(truncatingIfNeeded: ~crc >> (8 * UInt32($0))) }
        }
        var header = Array("KEYSTMD\0".utf8) + [version, 0, 0, 0]
        header += [UInt8(body.count), 0, 0, 0, 0, 0, 0, 0] + sum(body)
        header += sum(header)
        return header + body
    }

    /// A file that was being written when the power went is not the file.
    @Test func leftoverOfAnInterruptedWriteIsIgnored() throws {
        try { _ = try put(EmbeddedMetadata(path: file, create: true), [1]) }()
        try Data([1, 2, 3]).write(to: URL(filePath: file + ".new"))
        let store = try EmbeddedMetadata(path: file, create: false)
        #expect(try store.get(key).value?.value == [1])
        _ = try put(store, [2])
        #expect(!FileManager.default.fileExists(atPath: file + ".new"))
    }

    /// The disk refuses: nothing has changed, in memory or on it, and watchers hear nothing.
    @Test func refusedWriteChangesNothing() async throws {
        let store = try EmbeddedMetadata(path: file, create: true)
        let first = try put(store, [1])
        try FileManager.default.createDirectory(atPath: file + ".new", withIntermediateDirectories: false)
        #expect(throws: MetadataError.self) { try put(store, [2]) }
        #expect(try store.get(key).value?.value == [1])
        try FileManager.default.removeItem(atPath: file + ".new")
        var changes = store.watch(prefix: key, after: .zero).makeAsyncIterator()
        let third = try put(store, [3])
        #expect(first == .committed(MetadataRevision(1)))
        #expect(third == .committed(MetadataRevision(2)))
        #expect(try await changes.next()?.revision == MetadataRevision(1))
        #expect(try await changes.next()?.revision == MetadataRevision(2))
    }

    /// The old file has vanished under the new name's way: whether the change happened is not known, so nothing more is
    /// answered until the store is opened again.
    @Test func unknownOutcomeClosesTheStore() throws {
        let store = try EmbeddedMetadata(path: file, create: true)
        try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
        for _ in 0..<2 {
            let error = #expect(throws: MetadataError.self) { try put(store, [1]) }
            guard case .outcomeUnknown = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
        #expect(throws: MetadataError.self) { try store.get(key) }
    }

    @Test func forgottenHistoryIsToldSo() async throws {
        do {
            let store = try EmbeddedMetadata(path: file, create: true)
            for number in 0..<5 { _ = try put(store, [UInt8(number)]) }
        }
        let store = try EmbeddedMetadata(path: file, create: false)
        var old = store.watch(prefix: key, after: MetadataRevision(3)).makeAsyncIterator()
        await #expect(throws: MetadataError.compacted(oldest: MetadataRevision(6))) { try await old.next() }
        var current = store.watch(prefix: key, after: MetadataRevision(5)).makeAsyncIterator()
        _ = try put(store, [9])
        #expect(try await current.next()?.revision == MetadataRevision(6))
    }
}
