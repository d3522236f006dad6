import Entities
import Primitives
import Testing

@Suite struct EntityEffectTests {
    /// These bytes lie in logs: they never change for format version 1.
    @Test func goldenBytes() throws {
        let key = try key("user/42")
        let hash = (0..<8).map { UInt8(truncatingIfNeeded: key.ringHash >> (56 - 8 * UInt64($0))) }
        let removal = EntityEffect(key: key, record: nil, idempotencyKey: nil, idempotencyRow: nil)
        #expect(removal.encoded == [1, 0, 7, 0, 4, 0, 0x45] + hash + bytes("user/42"))
        let put = EntityEffect(
            key: key, record: StoredRecordTests.plain, idempotencyKey: bytes("abc"),
            idempotencyRow: IdempotencyRowTests.row)
        #expect(
            put.encoded == [1, 3, 7, 0, 4, 3, 0x45] + hash + bytes("user/42abc") + IdempotencyRowTests.row.encoded()
                + StoredRecordTests.plain.bytes)
    }

    static func random(_ random: inout SplitMix64) throws -> (EntityKey, StoredRecord?, [UInt8]?, IdempotencyRow?) {
        let key = try key("kind/\(random.below(1000))")
        let record = random.chance(3, in: 4) ? StoredRecord.random(&random) : nil
        guard random.chance(1, in: 2) else { return (key, record, nil, nil) }
        return (key, record, bytes("key-\(random.below(1000))"), IdempotencyRow.random(&random))
    }

    @Test func roundTrip() throws {
        var random = SplitMix64(seed: 0x5EED_0020)
        for _ in 0..<2_000 {
            let (key, record, idempotencyKey, row) = try Self.random(&random)
            let effect = EntityEffect(key: key, record: record, idempotencyKey: idempotencyKey, idempotencyRow: row)
            let decoded = try #require(EntityEffect(decoding: effect.encoded))
            for effect in [effect, decoded] {
                #expect(effect.key == key && effect.key.kindLength == key.kindLength)
                #expect(effect.record == record)
                #expect(effect.idempotencyKey.map(Array.init) == idempotencyKey)
                #expect(effect.idempotencyRow == row)
            }
            #expect(decoded.encoded == effect.encoded)
        }
    }

    @Test func rowsAreThoseOfTheStore() throws {
        var random = SplitMix64(seed: 0x5EED_0021)
        for _ in 0..<500 {
            let (key, record, idempotencyKey, row) = try Self.random(&random)
            let effect = EntityEffect(key: key, record: record, idempotencyKey: idempotencyKey, idempotencyRow: row)
            var rows: [EntityEffect.RowChange] = []
            effect.forEachRow { rows.append($0) }
            #expect(rows.count == (idempotencyKey == nil ? 1 : 2))
            #expect(Array(rows[0].key) == StoreRows.entity(key))
            #expect(rows[0].value.map(Array.init) == record?.bytes)
            if let idempotencyKey, let row {
                #expect(Array(rows[1].key) == StoreRows.idempotency(key, idempotencyKey))
                #expect(rows[1].value.map(Array.init) == row.encoded())
            }
        }
    }

    /// A removal has no rest; a put needs a whole record; lengths lie within the payload.
    @Test func malformedPayloadsAreRefused() throws {
        let key = try key("user/42")
        let removal = EntityEffect(key: key, record: nil, idempotencyKey: nil, idempotencyRow: nil).encoded
        let put = EntityEffect(
            key: key, record: StoredRecordTests.plain, idempotencyKey: bytes("abc"),
            idempotencyRow: IdempotencyRowTests.row
        ).encoded
        #expect(EntityEffect(decoding: removal + [0]) == nil)
        let head = put.count - StoredRecordTests.plain.state.count
        for count in 0..<head { #expect(EntityEffect(decoding: Array(put[..<count])) == nil, "\(count) bytes") }
        for (offset, value) in [
            (0, 2), (1, 4), (1, 1), (1, 2), (2, 8), (3, 200), (4, 0), (4, 3), (4, 6), (5, 0), (6, 0x49),
        ] {
            var broken = put
            broken[offset] = UInt8(value)
            #expect(EntityEffect(decoding: broken) == nil, "byte \(offset) is \(value)")
        }
    }

    @Test func randomBytesNeverTrap() throws {
        var random = SplitMix64(seed: 0x5EED_0022)
        for _ in 0..<20_000 {
            let noise = random.bytes(random.below(120))
            _ = StoredRecord(decoding: noise)
            _ = IdempotencyRow(decoding: noise)
            _ = EntityEffect(decoding: noise)
            let (key, record, idempotencyKey, row) = try Self.random(&random)
            var damaged = EntityEffect(key: key, record: record, idempotencyKey: idempotencyKey, idempotencyRow: row)
                .encoded
            damaged[random.below(min(16, damaged.count))] = UInt8(truncatingIfNeeded: random.next())
            if let effect = EntityEffect(decoding: damaged) {
                effect.forEachRow { #expect(!$0.key.isEmpty) }
                _ = effect.record
            }
        }
    }
}
