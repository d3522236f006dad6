import Primitives
import Testing

@Suite struct HashTests {
    /// Vectors of the reference implementation (xxHash, `XXH64` of its sanity buffer and of known strings).
    @Test func vectors() {
        #expect(XXH64.hash([UInt8](), seed: 0) == 0xEF46_DB37_51D8_E999)
        #expect(XXH64.hash(Array("a".utf8), seed: 0) == 0xD24E_C4F1_A98C_6E5B)
        #expect(XXH64.hash(Array("abc".utf8), seed: 0) == 0x44BC_2CF5_AD77_0999)
        let long = Array("The quick brown fox jumps over the lazy dog".utf8)
        #expect(XXH64.hash(long, seed: 0) == 0x0B24_2D36_1FDA_71BC)
    }
}

@Suite struct ChecksumTests {
    /// RFC 3720 appendix B.4.
    @Test func vectors() {
        #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
        #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
        #expect(CRC32C.checksum(Array(0..<32)) == 0x46DD_794E)
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
    }

    @Test func continuesAcrossPieces() {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for cut in [0, 1, 7, 8, 9, 500, 999, 1000] {
            let first = CRC32C.checksum(bytes[..<cut])
            #expect(CRC32C.checksum(bytes[cut...], continuing: first) == CRC32C.checksum(bytes))
        }
    }
}

@Suite struct ZeroRunTests {
    @Test func everyLengthAndOffset() {
        for zeros in 0..<40 {
            for tail in 0..<20 {
                let bytes = [UInt8](repeating: 0, count: zeros) + [UInt8](repeating: 7, count: tail)
                #expect(bytes.withUnsafeBytes { ZeroRun.length(of: $0) } == zeros)
            }
        }
    }
}

@Suite struct Base64Tests {
    /// RFC 4648 §10.
    @Test(arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy"),
    ])
    func vectors(plain: String, text: String) {
        #expect(Base64.encode(Array(plain.utf8)) == Array(text.utf8))
        #expect(Base64.decode(Array(text.utf8)) == Array(plain.utf8))
    }

    @Test(arguments: ["Z", "Zg=", "Zg", "Zh==", "Zg==Zg==", "Z===", "Zm9v\n", "Zm-v"])
    func refusals(text: String) {
        #expect(Base64.decode(Array(text.utf8)) == nil)
    }

    @Test func urlSafeRoundTrip() {
        for count in 0..<64 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 97 &+ 251) }
            #expect(Base64.decodeURLSafe(Base64.encodeURLSafe(bytes)) == bytes)
        }
    }
}

@Suite struct SteadyClockTests {
    @Test func followsElapsedTimeOnly() {
        var clock = SteadyClock(
            wall: Timestamp(milliseconds: 5000), monotonic: MonotonicTime(nanoseconds: 7),
            floor: Timestamp(milliseconds: 9000))
        #expect(clock.now(MonotonicTime(nanoseconds: 7)).milliseconds == 9000)
        #expect(clock.now(MonotonicTime(nanoseconds: 3_000_007)).milliseconds == 9003)
        clock.advance(atLeastTo: Timestamp(milliseconds: 9500), monotonic: MonotonicTime(nanoseconds: 3_000_007))
        #expect(clock.now(MonotonicTime(nanoseconds: 4_000_007)).milliseconds == 9501)
        clock.advance(atLeastTo: Timestamp(milliseconds: 1), monotonic: MonotonicTime(nanoseconds: 4_000_007))
        #expect(clock.now(MonotonicTime(nanoseconds: 4_000_007)).milliseconds == 9501)
    }
}

@Suite struct LimitsTests {
    @Test func relations() {
        #expect(Limits.entityBytesDefault <= Limits.entityBytesCeiling)
        #expect(Limits.entityBytesCeiling < Limits.recordBytesMax, "a record holds the largest entity and its rows")
        #expect(Limits.recordBytesMax < Limits.segmentBytes / 2, "a record never spans segments")
        #expect(Limits.groupBytesMax <= Limits.logQueueBytesMax)
        #expect(Limits.recordBytesMax <= Limits.queueBytesMax, "the largest write can be admitted to an empty queue")
        #expect(Limits.kindBytesMax + 1 + Limits.idBytesMax < Limits.uriBytesMax / 8)
        #expect(Limits.replayBytesMax >= 2 * Limits.segmentBytes)
        #expect(Limits.recordBytesMax < Limits.moveTeeBytesMax, "the tee holds the largest update")
        #expect(Limits.moveHandoverLagBytes <= Limits.movePullBytesMax, "what is near comes with one pull")
        #expect(Limits.moveFreezeMilliseconds < Limits.queueAgeMillisecondsMax, "no freeze refuses for age")
        #expect(Limits.listWaitSecondsMax + Limits.listScanSecondsMax < Limits.listSecondsMax, "a turn ends in time")
        #expect(Limits.listSecondsMax < Limits.requestSecondsMax)
        #expect(Limits.movePullMilliseconds < Limits.moveAnswerMilliseconds)
    }
}
