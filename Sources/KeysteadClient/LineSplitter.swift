/// Cuts a stream of bytes into lines at line feeds, holding no more than one line and one piece of input.
package struct LineSplitter: Sendable {
    package enum Step: Sendable {
        /// A line without its line feed.
        case line(ArraySlice<UInt8>)
        /// A line beyond the limit has been dropped; the next one follows.
        case tooLong
        /// Give more bytes, or end.
        case needsMore
    }

    private let lineBytesMax: Int
    private var buffer: [UInt8] = []
    /// Where the next line begins in the buffer.
    private var start = 0
    /// Before this there is no line feed.
    private var searched = 0
    private var isDropping = false
    /// Bytes that the buffer no longer holds.
    private var released: UInt64 = 0

    /// Bytes of the stream up to and with the line feed of the last line given.
    package var consumedBytes: UInt64 { released + UInt64(start) }

    package init(lineBytesMax: Int) { self.lineBytesMax = lineBytesMax }

    package mutating func append(_ bytes: some Collection<UInt8>) {
        if start > 0 {
            buffer.removeSubrange(..<start)
            released += UInt64(start)
            searched -= start
            start = 0
        }
        buffer.append(contentsOf: bytes)
    }

    package mutating func next() -> Step {
        guard let end = buffer[searched...].firstIndex(of: 0x0A) else {
            searched = buffer.count
            if isDropping || buffer.count - start > lineBytesMax {
                isDropping = true
                start = buffer.count
            }
            return .needsMore
        }
        let line = buffer[start..<end]
        start = end + 1
        searched = start
        defer { isDropping = false }
        return isDropping || line.count > lineBytesMax ? .tooLong : .line(line)
    }

    /// What is left at the end of the stream: a last line without line feed.
    package mutating func finish() -> Step? {
        let line = buffer[start...]
        start = buffer.count
        searched = start
        if isDropping { return .tooLong }
        if line.isEmpty { return nil }
        return line.count > lineBytesMax ? .tooLong : .line(line)
    }
}
