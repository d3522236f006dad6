import Entities
import NIOCore
import Primitives

@testable import HTTPFront

/// What a decoder made of a stream of bytes: the requests before the refusal, if there was one.
struct Decoded: Equatable, CustomStringConvertible {
    struct Request: Equatable {
        var method: String
        var path: String
        var query: String?
        var minorVersion: UInt8
        var keepsAlive: Bool
        var body: [UInt8] = []
        var isComplete = false
    }

    var requests: [Request] = []
    var refusal: ProblemCode?

    var description: String { "\(requests) refusal: \(refusal.map { "\($0)" } ?? "none")" }
}

/// How a stream is cut into reads.
enum Split {
    case whole
    case bytes
    case random(seed: UInt64)

    static let all: [Split] = [.whole, .bytes, .random(seed: 1), .random(seed: 2), .random(seed: 3)]

    func pieces(of stream: [UInt8]) -> [ArraySlice<UInt8>] {
        switch self {
        case .whole: return [stream[...]]
        case .bytes: return stream.indices.map { stream[$0...$0] }
        case .random(let seed):
            var generator = SplitMix64(seed: seed &+ UInt64(stream.count))
            var pieces: [ArraySlice<UInt8>] = []
            var rest = stream[...]
            while !rest.isEmpty {
                let count = min(rest.count, 1 + generator.below(generator.chance(1, in: 4) ? 200 : 7))
                pieces.append(rest.prefix(count))
                rest = rest.dropFirst(count)
            }
            return pieces
        }
    }
}

func decode(_ stream: [UInt8], _ split: Split) -> Decoded {
    var decoder = RequestDecoder()
    var input = ByteBuffer()
    var decoded = Decoded()
    for piece in split.pieces(of: stream) {
        input.writeBytes(piece)
        drain(&decoder, &input, into: &decoded)
        input.discardReadBytes()
    }
    return decoded
}

private func drain(_ decoder: inout RequestDecoder, _ input: inout ByteBuffer, into decoded: inout Decoded) {
    while true {
        switch decoder.next(&input) {
        case .needMore: return
        case .head: decoded.requests.append(Decoded.Request(decoder.head))
        case .chunk: break
        case .body(let piece): decoded.requests[decoded.requests.count - 1].body += Array(piece.readableBytesView)
        case .end: decoded.requests[decoded.requests.count - 1].isComplete = true
        case .refused(let problem):
            decoded.refusal = problem.code
            return
        }
    }
}

extension Decoded.Request {
    init(_ head: RequestHead) {
        method = String(decoding: head.array(head.methodName), as: UTF8.self)
        path = String(decoding: head.array(head.path), as: UTF8.self)
        query = head.query.map { String(decoding: head.array($0), as: UTF8.self) }
        minorVersion = head.minorVersion
        keepsAlive = head.keepsAlive
    }
}
