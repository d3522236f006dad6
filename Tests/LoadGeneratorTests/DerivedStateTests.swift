import NIOCore
import Testing

@testable import LoadGenerator

@Suite struct DerivedStateTests {
    private func state(_ record: UInt64, _ token: UInt64, _ length: Int) -> [UInt8] {
        var buffer = ByteBuffer()
        DerivedState.write(record: record, token: token, length: length, into: &buffer)
        return Array(buffer.readableBytesView)
    }

    private func matches(_ bytes: [UInt8], _ record: UInt64) -> Bool {
        DerivedState.matches(bytes.span, record: record)
    }

    @Test(arguments: [0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 100, 1024])
    func matchesWhatWasWritten(length: Int) {
        for (record, token) in [(0, 0), (7, 9), (999_999, .max)] as [(UInt64, UInt64)] {
            let bytes = state(record, token, length)
            #expect(bytes.count == length)
            #expect(matches(bytes, record))
        }
    }

    @Test func seesEveryChangedByte() {
        let bytes = state(7, 9, 100)
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 0x10
            #expect(!matches(changed, 7), "byte \(place)")
        }
        #expect(!matches(bytes, 8))
        let torn = Array(state(7, 10, 100)[..<50] + bytes[50...])
        #expect(!matches(torn, 7), "half of one write, half of another")
    }

    /// The layout is fixed: what one version of the generator wrote, another can verify.
    @Test func layout() {
        let bytes = state(7, 9, 28)
        #expect(bytes[..<16] == [7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0])
        #expect(Array(bytes[16..<24]) == [0xFE, 0xBE, 0x02, 0x3D, 0x51, 0xD6, 0xFC, 0x53])
        #expect(Array(bytes[24...]) == [0x61, 0x67, 0x50, 0x99])
    }
}
