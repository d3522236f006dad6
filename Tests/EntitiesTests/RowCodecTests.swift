import Entities
import Primitives
import Testing

@Suite struct StoredRecordTests {
    static let plain = StoredRecord(
        version: Position(0x0102_0304_0506_0708), updatedAt: Timestamp(milliseconds: 0x1112_1314_1516_1718),
        expiresAt: nil, contentType: bytes("text/plain"), state: bytes("hello"))
    static let expiring = StoredRecord(
        version: Position(7), updatedAt: Timestamp(milliseconds: 1), expiresAt: Timestamp(milliseconds: 0xFFEE),
        contentType: [], state: [0, 255])

    /// These bytes lie on disks: they never change for format version 1.
    @Test func goldenBytes() {
        #expect(
            Self.plain.bytes
                == [1, 0, 10, 8, 7, 6, 5, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]
                + bytes("text/plainhello"))
        #expect(
            Self.expiring.bytes
                == [1, 1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xEE, 0xFF, 0, 0, 0, 0, 0, 0, 0, 255])
    }

    @Test func roundTrip() {
        var random = SplitMix64(seed: 0x5EED_0010)
        for _ in 0..<2_000 {
            let record = StoredRecord.random(&random)
            #expect(record.encodedCount == record.bytes.count)
            #expect(StoredRecord(decoding: record.bytes) == record)
        }
    }

    @Test func everyShorteningOfTheHeadIsRefused() {
        for record in [Self.plain, Self.expiring] {
            let head = record.bytes.count - record.state.count
            for count in 0..<head { #expect(StoredRecord(decoding: Array(record.bytes[..<count])) == nil) }
            #expect(StoredRecord(decoding: Array(record.bytes[..<head]))?.state.isEmpty == true)
        }
    }

    @Test func unknownFormatsAndFlagsAreRefused() {
        var bytes = Self.plain.bytes
        bytes[0] = 2
        #expect(StoredRecord(decoding: bytes) == nil)
        bytes[0] = 1
        bytes[1] = 2
        #expect(StoredRecord(decoding: bytes) == nil)
    }

    @Test func contentTypes() {
        #expect(text(Self.plain.effectiveContentType) == "text/plain")
        #expect(text(Self.expiring.effectiveContentType) == "application/octet-stream")
        let longest = StoredRecord(
            version: .zero, updatedAt: .zero, expiresAt: nil, contentType: [UInt8](repeating: 65, count: 255), state: []
        )
        #expect(StoredRecord(decoding: longest.bytes) == longest)
    }

    @Test func expiresAtTheVeryMillisecond() {
        #expect(!Self.expiring.isExpired(at: Timestamp(milliseconds: 0xFFED)))
        #expect(Self.expiring.isExpired(at: Timestamp(milliseconds: 0xFFEE)))
        #expect(!Self.plain.isExpired(at: Timestamp(milliseconds: .max)))
    }
}

@Suite struct IdempotencyRowTests {
    static let row = IdempotencyRow(
        status: 204, version: Position(9), expiresAt: Timestamp(milliseconds: 0x0A0B),
        fingerprint: .init(low: 0x1122_3344_5566_7788, high: 1))

    @Test func goldenBytes() {
        #expect(
            Self.row.encoded() == [
                1, 204, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0x0B, 0x0A, 0, 0, 0, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33,
                0x22,
                0x11, 1, 0, 0, 0, 0, 0, 0, 0,
            ])
    }

    @Test func roundTripAndNothingElse() {
        let encoded = Self.row.encoded()
        #expect(IdempotencyRow(decoding: encoded) == Self.row)
        for count in 0..<encoded.count { #expect(IdempotencyRow(decoding: Array(encoded[..<count])) == nil) }
        #expect(IdempotencyRow(decoding: encoded + [0]) == nil)
        #expect(IdempotencyRow(decoding: [2] + encoded[1...]) == nil)
    }

    @Test func fingerprintCoversMethodKindAndBodyOnly() {
        typealias Fingerprint = IdempotencyRow.Fingerprint
        let body = bytes("[]")
        let put = Fingerprint(of: .put(state: body, contentType: [], ttlSeconds: nil))
        #expect(put == Fingerprint(of: .put(state: body, contentType: bytes("a/b"), ttlSeconds: 5)))
        let actions: [WriteOperation.Action] = [
            .put(state: body, contentType: [], ttlSeconds: nil), .put(state: [], contentType: [], ttlSeconds: nil),
            .delete, .patch(.merge, document: body), .patch(.jsonPatch, document: body),
            .patch(.update, document: body),
            .patch(.merge, document: []), .patch(.merge, document: bytes("{}")),
        ]
        for (index, one) in actions.enumerated() {
            for other in actions[(index + 1)...] { #expect(Fingerprint(of: one) != Fingerprint(of: other)) }
        }
    }

    /// Stored on disks: the fingerprint of a request never changes.
    @Test func fingerprintVector() {
        let fingerprint = IdempotencyRow.Fingerprint(of: .patch(.update, document: bytes("{}")))
        #expect(fingerprint.low == XXH64.hash(bytes("{}"), seed: 0x4B45_5953_5445_4149))
        #expect(fingerprint.high == XXH64.hash(bytes("{}"), seed: 0x9E37_79B9_7F4A_7C10))
    }
}

@Suite struct ReplayCheckTests {
    static let body = bytes("x")
    static let put = WriteOperation.Action.put(state: body, contentType: [], ttlSeconds: nil)

    static func operation(_ action: WriteOperation.Action, _ idempotencyKey: [UInt8]? = bytes("k")) throws
        -> WriteOperation
    {
        WriteOperation(key: try key("user/1"), action: action, idempotencyKey: idempotencyKey)
    }

    static func row(of action: WriteOperation.Action) -> IdempotencyRow {
        IdempotencyRow(
            status: 204, version: Position(5), expiresAt: Timestamp(milliseconds: 100), fingerprint: .init(of: action))
    }

    @Test func newKeysRun() throws {
        #expect(ReplayCheck(try Self.operation(Self.put), row: nil, now: .zero) == .none)
        #expect(ReplayCheck(try Self.operation(Self.put, nil), row: Self.row(of: Self.put), now: .zero) == .none)
    }

    @Test func theSameRequestIsReplayedUntilItsRowExpires() throws {
        let operation = try Self.operation(Self.put)
        let row = Self.row(of: Self.put)
        let replay = ReplayCheck.replay(status: 204, version: Position(5))
        #expect(ReplayCheck(operation, row: row, now: Timestamp(milliseconds: 99)) == replay)
        #expect(ReplayCheck(operation, row: row, now: Timestamp(milliseconds: 100)) == .none)
    }

    @Test func anotherRequestIsAMismatchUntilTheRowExpires() throws {
        let operation = try Self.operation(.delete)
        let row = Self.row(of: Self.put)
        guard case .mismatch(let problem) = ReplayCheck(operation, row: row, now: .zero) else {
            Issue.record("a delete under the key of a put must not pass")
            return
        }
        #expect(problem.code == .idempotencyMismatch)
        #expect(ReplayCheck(operation, row: row, now: Timestamp(milliseconds: 100)) == .none)
    }
}

@Suite struct RowExpiryTests {
    static func isExpired(_ key: [UInt8], _ value: [UInt8], at milliseconds: UInt64) -> Bool {
        key.withUnsafeBytes { key in
            value.withUnsafeBytes { value in
                RowExpiry.isExpired(key: key, value: value, now: Timestamp(milliseconds: milliseconds))
            }
        }
    }

    @Test func agreesWithTheDecodedRows() throws {
        var random = SplitMix64(seed: 0x5EED_0011)
        let entityRow = StoreRows.entity(try key("user/1"))
        let idempotencyRow = StoreRows.idempotency(try key("user/1"), bytes("k"))
        for _ in 0..<2_000 {
            let record = StoredRecord.random(&random)
            let now = UInt64(random.below(2000))
            #expect(
                Self.isExpired(entityRow, record.bytes, at: now)
                    == record.isExpired(at: Timestamp(milliseconds: now)))
            let row = IdempotencyRow.random(&random)
            #expect(
                Self.isExpired(idempotencyRow, row.encoded(), at: now)
                    == row.isExpired(at: Timestamp(milliseconds: now)))
        }
    }

    @Test func whatCannotBeReadIsKept() throws {
        let expired = StoredRecordTests.expiring.bytes
        let row = IdempotencyRowTests.row.encoded()
        #expect(Self.isExpired(bytes("E"), expired, at: .max))
        #expect(Self.isExpired(bytes("I"), row, at: .max))
        for count in 0..<27 { #expect(!Self.isExpired(bytes("E"), Array(expired[..<count]), at: .max)) }
        for count in 0..<35 { #expect(!Self.isExpired(bytes("I"), Array(row[..<count]), at: .max)) }
        #expect(!Self.isExpired(bytes("E"), [2] + expired[1...], at: .max))
        #expect(!Self.isExpired(bytes("E"), [1, 3] + expired[2...], at: .max))
        #expect(!Self.isExpired(bytes("I"), [2] + row[1...], at: .max))
        #expect(!Self.isExpired(bytes("M"), expired, at: .max))
        #expect(!Self.isExpired([], expired, at: .max))
        #expect(!Self.isExpired(bytes("E"), [], at: .max))
    }
}

extension StoredRecord {
    static func random(_ random: inout SplitMix64) -> StoredRecord {
        StoredRecord(
            version: Position(random.next()), updatedAt: Timestamp(milliseconds: random.next()),
            expiresAt: random.chance(1, in: 2) ? Timestamp(milliseconds: UInt64(random.below(2000))) : nil,
            contentType: random.bytes(random.below(8)), state: random.bytes(random.below(64)))
    }
}

extension IdempotencyRow {
    static func random(_ random: inout SplitMix64) -> IdempotencyRow {
        IdempotencyRow(
            status: random.pick([200, 204]), version: Position(random.next()),
            expiresAt: Timestamp(milliseconds: UInt64(random.below(2000))),
            fingerprint: .init(low: random.next(), high: random.next()))
    }
}
