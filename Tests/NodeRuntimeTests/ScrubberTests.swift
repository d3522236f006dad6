import Foundation
import HashRing
import Logging
import PeerWire
import Primitives
import RocksStore
import Testing

@testable import NodeRuntime

/// Rot on a real disk, found before anybody reads the row.
@Suite struct ScrubberTests {
    private let folder: String

    init() throws { folder = try makeTestFolder("scrub") }

    /// A shard with one table of rows that do not compress.
    private func host() throws -> ShardHost {
        var configuration = StoreResources.Configuration()
        configuration.memoryBytes = Limits.memoryBytesMin
        let store = try ShardStore.open(
            directory: folder + "/store", resources: StoreResources(configuration), create: true)
        var random = SplitMix64(seed: 7)
        var batch = StoreBatch()
        for number in 0..<1000 {
            let value = (0..<200).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            batch.put(row: [UInt8(ascii: "E"), UInt8(number >> 8), UInt8(number & 0xFF)], value: value)
        }
        try store.apply(&batch, applied: AppliedState(epoch: Epoch(1), position: Position(1), lsn: LSN(1)))
        try store.flush()
        return ShardHost(shard: ShardID(3), epoch: Epoch(1), store: store, applied: Position(1))
    }

    private func scrubber(_ host: ShardHost) -> Scrubber {
        let ring = Ring(shardCount: Limits.shardsMin)
        let seats = ring.shards.map { $0 == host.shard ? ShardTable.Seat.served(host) : .elsewhere }
        return Scrubber(
            table: ShardTable(ring: ring, seats: seats), pool: MovePool(), logger: Logger(label: "scrub"))
    }

    private func table() throws -> String {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder + "/store")
        return try #require(names.first { $0.hasSuffix(".sst") })
    }

    @Test func aSoundShardStaysSo() throws {
        let host = try host()
        scrubber(host).scrub(host)
        #expect(host.troubleText == nil && host.state == .serving)
        #expect(!FileManager.default.fileExists(atPath: folder + "/store/verify"), "it leaves nothing behind")
    }

    @Test func aFlippedBitIsNamedAndTheShardServesOn() throws {
        let host = try host()
        let file = try table()
        let handle = try FileHandle(forUpdating: URL(filePath: folder + "/store/" + file))
        try handle.seek(toOffset: 100_000)
        let byte = try #require(try handle.read(upToCount: 1)?.first)
        try handle.seek(toOffset: 100_000)
        try handle.write(contentsOf: [byte ^ 0x10])
        try handle.close()
        scrubber(host).scrub(host)
        #expect(host.troubleText?.hasSuffix("/store/" + file) == true, "\(host.troubleText ?? "nothing")")
        #expect(host.isServing && host.state == .damaged)
    }

    @Test func aScrubThatIsStoppedSaysNothing() throws {
        let host = try host()
        let scrubber = scrubber(host)
        scrubber.stop()
        scrubber.scrub(host)
        #expect(host.troubleText == nil)
    }
}
