internal import NIOCore

/// Cuts a stream of bytes into lines at LF, holding no more than one unfinished line. A line over the limit is reported
/// once and passed over without being held.
struct LineSplitter {
    enum Line {
        case text([UInt8])
        case tooLong
        /// It was given up by ``giveUp()``.
        case givenUp
    }

    /// Bytes of the line that has not ended.
    var unfinishedBytes: Int { unfinished.count }

    /// There is no room for the line that has not ended: it is passed over.
    mutating func giveUp() {
        isGivenUp = true
        unfinished = []
    }

    private let bytesMax: Int
    private var unfinished: [UInt8] = []
    private var isTooLong = false
    private var isGivenUp = false

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    /// The next line that ends in `piece`, which is consumed up to there; `nil` when none does and all is consumed.
    mutating func next(_ piece: inout ByteBuffer) -> Line? {
        let view = piece.readableBytesView
        let end = view.firstIndex(of: 0x0A)
        let part = view[view.startIndex..<(end ?? view.endIndex)]
        if unfinished.count + part.count > bytesMax {
            isTooLong = true
            unfinished = []
        }
        if !isTooLong, !isGivenUp { unfinished.append(contentsOf: part) }
        piece.moveReaderIndex(forwardBy: part.count + (end == nil ? 0 : 1))
        return end == nil ? nil : takeLine()
    }

    /// What is left at the end of the stream: a last line needs no LF.
    mutating func last() -> Line? {
        isTooLong || isGivenUp || !unfinished.isEmpty ? takeLine() : nil
    }

    private mutating func takeLine() -> Line {
        defer {
            unfinished = []
            isTooLong = false
            isGivenUp = false
        }
        return isGivenUp ? .givenUp : isTooLong ? .tooLong : .text(unfinished)
    }
}
