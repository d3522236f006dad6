import Primitives
import Testing

@testable import NodeRuntime

@Suite struct ReadSizesTests {
    private let large = 2 * Limits.memorySmallBytesMax

    @Test func onlyLargeEntitiesAreRemembered() {
        let sizes = ReadSizes()
        sizes.note(0x1234_5678_9ABC_DEF0, bytes: large)
        sizes.note(0x0FED_CBA9_8765_4321, bytes: 100)
        #expect(sizes.bytes(of: 0x1234_5678_9ABC_DEF0) == (large + 1023) / 1024 * 1024)
        #expect(sizes.bytes(of: 0x0FED_CBA9_8765_4321) == nil)
    }

    @Test func anEntityThatHasBecomeSmallIsForgotten() {
        let sizes = ReadSizes()
        sizes.note(7 << 40, bytes: large)
        sizes.note(7 << 40, bytes: 10)
        #expect(sizes.bytes(of: 7 << 40) == nil)
    }

    /// Two entities of one place: the later one is known, and is not taken for the other.
    @Test func entitiesOfOnePlaceAreToldApart() {
        let sizes = ReadSizes()
        let one: UInt64 = 5 << 20
        let other = one + UInt64(Limits.readSizesMax) << 20
        sizes.note(one, bytes: large)
        sizes.note(other, bytes: 2 * large)
        #expect(sizes.bytes(of: one) == nil && sizes.bytes(of: other) == 2 * large)
        sizes.note(one, bytes: 1)
        #expect(sizes.bytes(of: other) == 2 * large)
    }

    @Test func theLargestAnswerFits() {
        let sizes = ReadSizes()
        let most = ReadSizes.answerBytes(of: Limits.entityBytesCeiling + 1024)
        sizes.note(1 << 30, bytes: most)
        #expect(sizes.bytes(of: 1 << 30) == most)
        #expect(sizes.bytes(of: 0) == nil)
    }
}
