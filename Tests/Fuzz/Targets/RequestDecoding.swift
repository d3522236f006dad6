import Entities
@testable import HTTPFront
import NIOCore

/// Requests in pieces: nothing traps, and how the bytes are cut never changes what is read, nor where it is refused.
#if KEYSTEAD_FUZZ
    @_cdecl("LLVMFuzzerTestOneInput")
#endif
public func fuzzRequests(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard let step = input.first else { return 0 }
    let whole = read(input.dropFirst(), step: count)
    precondition(whole == read(input.dropFirst(), step: Int(step % 32) + 1), "the reading depends on the pieces")
    return 0
}

private enum Part: Equatable {
    case head([UInt8])
    case body([UInt8])
    case end
    case refused(String)
}

private func read(_ input: ArraySlice<UInt8>, step: Int) -> [Part] {
    var decoder = RequestDecoder()
    var buffer = ByteBuffer()
    var parts: [Part] = []
    var rest = input
    while true {
        switch decoder.next(&buffer) {
        case .needMore:
            guard !rest.isEmpty else { return parts }
            buffer.writeBytes(rest.prefix(step))
            rest = rest.dropFirst(step)
        case .head: parts.append(.head(Array(decoder.head.bytes.readableBytesView)))
        case .chunk(let size): precondition(size > 0, "a chunk of nothing ends a body")
        case .body(let piece):
            precondition(piece.readableBytes > 0, "a piece of a body is never empty")
            if case .body(let before)? = parts.last {
                parts[parts.count - 1] = .body(before + Array(piece.readableBytesView))
            } else {
                parts.append(.body(Array(piece.readableBytesView)))
            }
        case .end: parts.append(.end)
        case .refused(let problem):
            parts.append(.refused("\(problem.code)"))
            return parts
        }
    }
}
