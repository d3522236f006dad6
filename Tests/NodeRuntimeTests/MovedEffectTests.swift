import Entities
import HashRing
import Primitives
import Testing

@testable import NodeRuntime

/// What a source of a shard gives this node to write into its log.
@Suite struct MovedEffectTests {
    private let ring = Ring(shardCount: 64)
    private let seed: UInt64 = 5

    private func effect(_ key: String, version: UInt64 = 9, seed: UInt64 = 5) throws -> EntityEffect {
        let record = StoredRecord(
            version: Position(version), updatedAt: .zero, expiresAt: nil, contentType: [UInt8](), state: [1])
        return EntityEffect(
            key: try EntityKey(plain: Array(key.utf8)[...], seed: seed), record: record, idempotencyKey: nil,
            idempotencyRow: nil)
    }

    private func belongs(_ effect: EntityEffect, in shard: ShardID? = nil) -> Bool {
        effect.belongs(at: Position(9), in: shard ?? ring.shard(of: effect.key.ringHash), of: ring, seed: seed)
    }

    @Test func onlyEntitiesOfTheShardAtTheirPositionsAreTaken() throws {
        let sound = try effect("k/i")
        #expect(belongs(sound))
        #expect(!belongs(try effect("k/i", version: 10)), "of another position")
        #expect(!belongs(sound, in: ShardID(ring.shard(of: sound.key.ringHash).rawValue ^ 1)), "of another shard")
        #expect(!belongs(try effect("k/i", seed: 6)), "with a place of another ring")
        // A key that no caller could have written, as the bytes of a log can carry it.
        var payload = sound.encoded
        payload[15] = UInt8(ascii: "K")
        #expect(!belongs(try #require(EntityEffect(decoding: payload))))
    }

    @Test func aShardBeyondTheRingIsNobodysHere() {
        let table = ShardTable(ring: Ring(shardCount: 16), seats: Array(repeating: .elsewhere, count: 16))
        for number in [16, 64, UInt32.max] {
            guard case .elsewhere = table[ShardID(number)] else {
                Issue.record("shard \(number)")
                continue
            }
            #expect(table.serving(ShardID(number)) == nil)
        }
    }
}
