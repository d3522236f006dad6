import Primitives
import Testing

@testable import RocksStore

@Suite struct AppliedStateTests {
    /// The byte table, kept forever: version, epoch, position, LSN.
    static let golden: [UInt8] =
        [1] + [2, 0, 0, 0, 0, 0, 0, 0] + [3, 1, 0, 0, 0, 0, 0, 0] + [4, 0, 0, 0, 0, 0, 0, 0x20]
    static let state = AppliedState(epoch: Epoch(2), position: Position(259), lsn: LSN(0x2000_0000_0000_0004))

    @Test func goldenBytes() throws {
        var bytes: [UInt8] = []
        Self.state.withEncodedBytes { bytes = Array($0) }
        #expect(bytes == Self.golden)
        #expect(try AppliedState(decoding: Self.golden, file: "s") == Self.state)
    }

    @Test func otherLengthsAreCorrupt() {
        for count in 0..<40 where count != Self.golden.count {
            let bytes = Array((Self.golden + [UInt8](repeating: 0, count: 40)).prefix(count))
            let error = #expect(throws: StoreError.self) { try AppliedState(decoding: bytes, file: "s") }
            guard case .corruption(file: "s", _) = error else {
                Issue.record("\(count) bytes gave \(String(describing: error))")
                continue
            }
        }
    }

    @Test func newerFormatIsRefusedByName() {
        let error = #expect(throws: StoreError.self) {
            try AppliedState(decoding: [2] + Self.golden.dropFirst(), file: "s")
        }
        guard case .unsupportedFormat = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}
