internal import Entities
internal import NIOCore
internal import Primitives

/// A strict decoder of HTTP/1.0 and HTTP/1.1 requests (RFC 9112). Sans-IO: bytes in, events out; how the bytes were
/// split on the way never changes the events but for where one body's pieces end.
///
/// It accepts exactly one reading of every message. What RFC 9112 lets a recipient repair (a bare LF, obs-fold,
/// several equal lengths, `Transfer-Encoding` beside `Content-Length`, blanks before a colon or inside a chunk line,
/// leading zeros of a length) is refused, since repairs are where two parsers in a chain disagree. After a refusal
/// nothing more is decoded.
///
/// The first offending byte decides which refusal is given, so a line that is both too long and wrong is judged by
/// whichever comes first.
struct RequestDecoder {
    enum Event {
        /// Nothing to say until there are more bytes.
        case needMore
        /// ``RequestDecoder/head`` is the next request's head.
        case head
        /// A chunk of this many bytes begins, never of none; `Int.max` stands for what is larger.
        case chunk(Int)
        /// The next piece of the body, never empty.
        case body(ByteBuffer)
        /// The request is complete.
        case end
        /// The connection is of no further use.
        case refused(Problem)
    }

    enum State {
        case head
        case fixedBody(remaining: Int)
        case chunkLine
        case chunkData(remaining: Int)
        /// The line end after a chunk's data.
        case chunkEnd
        case trailers
        case failed
    }

    /// Valid from `.head` to the next `.head`.
    private(set) var head = RequestHead()
    private var state = State.head
    private var scan = HeadScan()
    private var line = LineScan()

    /// The head has been read, and its bytes need no longer be kept; what was found out about it stays. While they are,
    /// the buffer that they came in is not free for the next read.
    mutating func releaseHead() { head.bytes = ByteBuffer() }

    /// No byte of a next request has been seen; what is left in the input is untouched.
    var isBetweenRequests: Bool {
        guard case .head = state else { return false }
        return scan.isFresh && line.scanned == 0
    }

    var isInBody: Bool {
        switch state {
        case .head, .failed: false
        case .fixedBody, .chunkLine, .chunkData, .chunkEnd, .trailers: true
        }
    }

    /// Decodes on. Bytes of an unfinished head or line stay in `input`; all else is consumed.
    mutating func next(_ input: inout ByteBuffer) -> Event {
        do throws(Problem) {
            switch state {
            case .head: return try decodeHead(&input)
            case .fixedBody(let remaining): return decodeFixedBody(&input, remaining)
            case .chunkLine: return try decodeChunkLine(&input)
            case .chunkData(let remaining): return decodeChunkData(&input, remaining)
            case .chunkEnd: return try decodeChunkEnd(&input)
            case .trailers: return try decodeTrailers(&input)
            case .failed: return .needMore
            }
        } catch {
            state = .failed
            return .refused(error)
        }
    }

    private mutating func decodeHead(_ input: inout ByteBuffer) throws(Problem) -> Event {
        guard input.readableBytes > 0 else { return .needMore }
        guard let length = try scan.run(input.readableBytesUInt8Span, &line) else { return .needMore }
        head = scan.head
        head.bytes = input.readSlice(length: length) ?? ByteBuffer()
        scan = HeadScan()
        line = LineScan()
        if head.isChunked {
            state = .chunkLine
        } else {
            state = .fixedBody(remaining: head.contentLength ?? 0)
        }
        return .head
    }

    private mutating func decodeFixedBody(_ input: inout ByteBuffer, _ remaining: Int) -> Event {
        guard remaining > 0 else { return finish() }
        guard let piece = input.readSlice(upTo: remaining) else { return .needMore }
        state = .fixedBody(remaining: remaining - piece.readableBytes)
        return .body(piece)
    }

    private mutating func decodeChunkLine(_ input: inout ByteBuffer) throws(Problem) -> Event {
        let size: Int
        do {
            let span = input.readableBytesUInt8Span
            guard
                let text = try line.next(
                    span, limit: Limits.chunkLineBytesMax, allowsTab: false, overflow: Refusals.chunkLineTooLong)
            else { return .needMore }
            size = try ChunkLine.size(span, text)
        }
        consumeLine(&input)
        guard size > 0 else {
            state = .trailers
            return try decodeTrailers(&input)
        }
        state = .chunkData(remaining: size)
        return .chunk(size)
    }

    private mutating func decodeChunkData(_ input: inout ByteBuffer, _ remaining: Int) -> Event {
        guard let piece = input.readSlice(upTo: remaining) else { return .needMore }
        let left = remaining - piece.readableBytes
        state = left == 0 ? .chunkEnd : .chunkData(remaining: left)
        return .body(piece)
    }

    private mutating func decodeChunkEnd(_ input: inout ByteBuffer) throws(Problem) -> Event {
        let expected: [2 of UInt8] = [ByteClasses.carriageReturn, ByteClasses.lineFeed]
        while line.scanned < 2 {
            guard line.scanned < input.readableBytes else { return .needMore }
            let byte: UInt8? = input.getInteger(at: input.readerIndex + line.scanned)
            guard byte == expected[line.scanned] else { throw Refusals.chunkEnd }
            line.scanned += 1
        }
        consumeLine(&input)
        state = .chunkLine
        return try decodeChunkLine(&input)
    }

    /// Trailers are checked like fields, counted against limits of their own, and dropped: they never change framing
    /// or meaning.
    private mutating func decodeTrailers(_ input: inout ByteBuffer) throws(Problem) -> Event {
        while true {
            let isLast: Bool
            do {
                let span = input.readableBytesUInt8Span
                guard
                    let text = try line.next(
                        span, limit: scan.fieldLimit, allowsTab: true, overflow: Refusals.fieldsTooLarge)
                else { return .needMore }
                isLast = text.isEmpty
                if !isLast {
                    try scan.countField(text.count)
                    _ = try FieldLine(span, text)
                }
            }
            consumeLine(&input)
            if isLast { return finish() }
        }
    }

    private mutating func consumeLine(_ input: inout ByteBuffer) {
        input.moveReaderIndex(forwardBy: line.scanned)
        line = LineScan()
    }

    private mutating func finish() -> Event {
        state = .head
        scan = HeadScan()
        line = LineScan()
        return .end
    }
}

extension ByteBuffer {
    /// The next bytes, at most `limit`; `nil` where there are none.
    fileprivate mutating func readSlice(upTo limit: Int) -> ByteBuffer? {
        readableBytes == 0 ? nil : readSlice(length: Swift.min(limit, readableBytes))
    }
}
