import PeerWire
import Primitives
import Testing

/// Whatever comes in, a reader says what is wrong with it and goes on living.
@Suite struct HostileTests {
    /// Cut frames are waited for, never misread.
    @Test func everyTruncationOfAFrame() throws {
        for frame in Samples.frames {
            for count in stride(from: 0, to: frame.count, by: frame.count > 1000 ? 37 : 1) {
                #expect(try Decoded.read(Array(frame[..<count])) == nil)
            }
        }
    }

    /// A body cut short inside a frame whose checksum is right: told as malformed, unless the message's fields were all
    /// there.
    @Test func everyTruncationOfABody() {
        for frame in Samples.frames {
            let type = frame[16]
            let body = Array(frame[PeerFrameHeader.byteCount...])
            for count in stride(from: 0, to: body.count, by: body.count > 1000 ? 37 : 1) {
                let cut = Bytes().adding(Array(body[..<count])).frame(type: type, id: 1)
                #expect(throws: PeerWireError.self, "type \(type) at \(count) of \(body.count)") {
                    try Decoded.read(cut)
                }
            }
        }
    }

    @Test func everyFlippedBitIsSeen() {
        for frame in Samples.frames where frame.count < 300 {
            for bit in 0..<(frame.count * 8) {
                var damaged = frame
                damaged[bit / 8] ^= 1 << UInt8(bit % 8)
                do {
                    // A flip in the length may ask for more bytes than there are.
                    #expect(try Decoded.read(damaged) == nil, "bit \(bit)")
                } catch {
                    #expect(error is PeerWireError)
                }
            }
        }
    }

    /// Past the checksum: every byte of every body set to other values.
    @Test func changedBodiesNeverTrap() {
        var generator = SplitMix64(seed: 1)
        var accepted = 0
        var refused = 0
        for frame in Samples.frames {
            let body = Array(frame[PeerFrameHeader.byteCount...])
            for index in body.indices.prefix(400) {
                for value in [0, 0xFF, 0x80, UInt8(truncatingIfNeeded: generator.next())] {
                    var changed = body
                    changed[index] = value
                    do {
                        let type = PeerFrameType(rawValue: frame[16])
                        _ = try changed.withUnsafeBytes { try Decoded.read(type, $0) }
                        accepted += 1
                    } catch {
                        refused += 1
                    }
                }
            }
        }
        #expect(accepted > 1000 && refused > 1000)
    }

    @Test func randomBodiesNeverTrap() {
        var generator = SplitMix64(seed: 2)
        for type in UInt8.min...UInt8.max {
            for _ in 0..<200 {
                var body = (0..<generator.below(200)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
                // Small numbers get further into a message.
                for index in body.indices where generator.chance(1, in: 2) { body[index] &= 3 }
                _ = try? body.withUnsafeBytes { try Decoded.read(PeerFrameType(rawValue: type), $0) }
            }
        }
    }

    @Test func randomStreamsAreRefusedBeforeAnythingIsAllocated() {
        var generator = SplitMix64(seed: 3)
        for _ in 0..<2000 {
            let bytes = (0..<64).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            do {
                #expect(try Decoded.read(bytes, max: Limits.peerHelloBytesMax) == nil)
            } catch {
                #expect(error is PeerWireError)
            }
        }
    }

    @Test func aLongFrameIsRefusedByItsHeader() {
        let header = Bytes().u32(0).u32(.max).u64(1).u8(0x40).adding([0, 0, 0]).all
        let error = #expect(throws: PeerWireError.self) { try Decoded.read(header) }
        #expect(error == .frameTooLong(bytes: 20 + Int(UInt32.max), max: Limits.peerFrameBytesMax))
    }

    /// Counts and lengths that the body cannot hold.
    @Test(
        arguments: [
            (0x10, Bytes().u32(0).u64(0).u8(1).u8(2).u8(0).u8(0).u16(3).text("k/i").u8(2).u32(.max)),
            (0x10, Bytes().u32(0).u64(0).u8(1).u8(0).u8(0).u8(0).u16(3).text("k/i").u16(0).u32(.max)),
            (0x40, Bytes().u8(1).u32(0).u64(0).u32(.max)),
            (0x40, Bytes().u8(5).u8(0).u32(64).u32(.max)),
            (0x40, Bytes().u8(5).u8(0).u32(64).u32(0).u32(1000)),
            (0x50, Bytes().u64(1).u32(.max)),
            (0x51, Bytes().u32(0).u32(.max)),
            (0x52, Bytes().u64(0).u64(0).u64(0).u8(1).u64(0).u32(.max)),
            (0x53, Bytes().u32(.max)),
        ] as [(Int, Bytes)])
    func countsAreNoSizesToAllocateBy(type: Int, body: Bytes) {
        #expect(throws: PeerWireError.self) { try Decoded.read(body.frame(type: UInt8(type), id: 1)) }
    }

    /// Well-formed, but outside what the message may say.
    @Test(
        arguments: [
            // A key that no client could have written.
            (0x10, Bytes().u32(0).u64(0).u8(3).u8(0).u8(0).u8(0).u16(3).text("K/i")),
            (0x10, Bytes().u32(0).u64(0).u8(3).u8(0).u8(0).u8(0).u16(4).text("k/..")),
            // A condition that this version does not know.
            (0x10, Bytes().u32(0).u64(0).u8(3).u8(0x80).u8(0).u8(0).u16(3).text("k/i")),
            (0x12, Bytes().u32(0).u32(3).u32(2).u8(0).u32(1).u16(0)),
            (0x12, Bytes().u32(0).u32(2).u32(3).u8(0).u32(0).u16(0)),
            (0x12, Bytes().u32(0).u32(2).u32(3).u8(0).u32(1001).u16(0)),
            (0x21, Bytes().u32(3).u64(9).u32(0).u64(0).u32(1 << 20 + 1)),
            (0x40, Bytes().u8(6).u8(0).u8(250).u16(0)),
            (0x52, Bytes().u64(0).u64(.max).u64(0).u8(1).u64(0).u32(1).u32(0)),
            (
                0x01,
                Bytes().text("KSPEER\r\n").u16(1).u16(1).u32(0).u64(0).u64(0).u64(0).u64(0).u64(0).u16(2).text("n/")
            ),
            (
                0x01,
                Bytes().text("KSPEEX\r\n").u16(1).u16(1).u32(0).u64(0).u64(0).u64(0).u64(0).u64(0).u16(2).text("n1")
            ),
        ] as [(Int, Bytes)])
    func nonsenseIsMalformed(type: Int, body: Bytes) {
        #expect(throws: PeerWireError.self) { try Decoded.read(body.frame(type: UInt8(type), id: 1)) }
    }
}

@Suite struct CompatibilityTests {
    @Test func trailingFieldsAreIgnored() throws {
        for frame in Samples.frames {
            let longer = Bytes().adding(Array(frame[PeerFrameHeader.byteCount...])).adding([1, 2, 3, 4, 5, 6, 7, 8])
                .frame(type: frame[16], id: 3)
            let (header, decoded) = try #require(try Decoded.read(longer))
            #expect(decoded.frame(id: 1)?.dropFirst(16) == frame.dropFirst(16))
            #expect(header.frameBytes == longer.count)
        }
    }

    @Test func unknownTypesAreNamed() throws {
        #expect(throws: PeerWireError.unknownType(0x3F)) { try Decoded.read(Bytes().frame(type: 0x3F, id: 1)) }
        #expect(throws: PeerWireError.unknownType(0x7F)) { try Decoded.read(Bytes().frame(type: 0x7F, id: 1)) }
        guard case .control(nil) = try #require(try Decoded.read(Bytes().frame(type: 0x0F, id: 1))).1 else {
            throw UnexpectedMessage()
        }
    }

    @Test func bytesKeptForLaterAreIgnored() throws {
        let rest = Bytes().u32(0).u64(1).u8(0x24).adding([7, 7, 7]).all
        #expect(try Decoded.read(Bytes().u32(CRC32C.checksum(rest)).adding(rest).all) != nil)
    }

    @Test func hellosAreCompared() {
        let mine = Samples.hello
        #expect(mine.objection(to: mine) == nil)
        var other = mine
        other.clusterLow += 1
        #expect(mine.objection(to: other)?.contains("another cluster") == true)
        other = mine
        other.version = 7
        #expect(mine.objection(to: other) == nil, "a later version that still speaks this one")
        other.versionMin = 2
        #expect(mine.objection(to: other)?.contains("versions 2 to 7") == true)
        other = mine
        other.version = 0
        other.versionMin = 0
        #expect(mine.objection(to: other)?.contains("versions 0 to 0") == true)
    }

    @Test func onlySomeRefusalsMayHaveBeenExecuted() {
        #expect(PeerRefusal(.overloaded, "").surelyNotExecuted)
        #expect(PeerRefusal(.unsupported, "").surelyNotExecuted)
        #expect(!PeerRefusal(.answerTooLong, "").surelyNotExecuted)
        #expect(!PeerRefusal(.failed, "").surelyNotExecuted)
        #expect(!PeerRefusal(.init(rawValue: 77), "").surelyNotExecuted)
    }
}
