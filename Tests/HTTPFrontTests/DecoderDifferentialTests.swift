import Entities
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Primitives
import Testing

@testable import HTTPFront

/// Our decoder beside NIOHTTP1's on the same seeded streams: valid requests, and requests with bytes changed, dropped,
/// doubled or moved. Ours may refuse more. Where both take a stream, they must read the same requests from it; a
/// difference there is what request smuggling is made of.
@Suite struct DecoderDifferentialTests {
    @Test(arguments: 0..<8)
    func readsTheSameRequests(seed: Int) throws {
        var generator = SplitMix64(seed: UInt64(seed))
        var taken = 0
        for round in 0..<400 {
            var stream = Self.stream(&generator)
            if round % 4 != 0 { Self.mutate(&stream, &generator) }
            let ours = decode(stream, .random(seed: generator.next()))
            let theirs = Self.decodeByNIO(stream)
            guard ours.refusal == nil, let theirs else { continue }
            taken += 1
            let text = String(decoding: stream, as: UTF8.self)
            #expect(ours.requests.filter(\.isComplete) == theirs, "seed \(seed): \(text)")
        }
        #expect(taken > 100, "enough streams were taken by both")
    }

    /// What a valid stream holds is read whole by both.
    @Test func takesEveryValidStream() {
        var generator = SplitMix64(seed: 99)
        for _ in 0..<300 {
            let stream = Self.stream(&generator)
            #expect(decode(stream, .whole).refusal == nil, "\(String(decoding: stream, as: UTF8.self))")
            #expect(Self.decodeByNIO(stream) != nil, "\(String(decoding: stream, as: UTF8.self))")
        }
    }

    // MARK: Streams

    private static func stream(_ generator: inout SplitMix64) -> [UInt8] {
        (0...generator.below(3)).flatMap { _ in Array(request(&generator).utf8) }
    }

    private static func pick<T>(_ choices: [T], _ generator: inout SplitMix64) -> T {
        choices[generator.below(choices.count)]
    }

    private static let fields = [
        "A: b", "X-Y:z", "If-Match: \"1\", \"2\"", "Accept: */*", "C:\t d\te ", "Empty:", "Cookie: a=b; c",
    ]

    private static func request(_ generator: inout SplitMix64) -> String {
        let method = pick(["GET", "PUT", "PATCH", "DELETE", "POST", "HEAD"], &generator)
        let target = pick(["/", "/v1/entities/user/a%2Fb?ttl=5", "http://h/x?y", "/a;b=c/d~e", "/?"], &generator)
        var lines = ["\(method) \(target) HTTP/1.1", "Host: h:80"]
        for _ in 0..<generator.below(4) {
            lines.append(pick(fields, &generator))
        }
        let body = String(repeating: "0123456789\r\n", count: generator.below(5))
        switch generator.below(3) {
        case 0: return (lines + ["", ""]).joined(separator: "\r\n")
        case 1:
            lines.append("Content-Length: \(body.utf8.count)")
            return (lines + ["", ""]).joined(separator: "\r\n") + body
        default:
            lines.append("Transfer-Encoding: chunked")
            return (lines + ["", ""]).joined(separator: "\r\n") + chunks(body, &generator)
        }
    }

    private static func chunks(_ body: String, _ generator: inout SplitMix64) -> String {
        var text = ""
        var rest = Array(body.utf8)[...]
        while !rest.isEmpty {
            let piece = rest.prefix(1 + generator.below(20))
            rest = rest.dropFirst(piece.count)
            let size = String(piece.count, radix: 16, uppercase: generator.chance(1, in: 2))
            text += size + pick(["", "", ";a", ";a=b"], &generator) + "\r\n"
            text += String(decoding: piece, as: UTF8.self) + "\r\n"
        }
        return text + "0\r\n" + pick(["", "", "T: u\r\n"], &generator) + "\r\n"
    }

    private static let insertions: [[UInt8]] = [
        " ", "\t", "\r", "\n", "\r\n", "\0", ":", ";", ",", "0", "chunked", "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n", "Host: x\r\n", "Connection: close\r\n", " HTTP/1.0", "é", "#", "+", "x",
    ].map { Array($0.utf8) }

    private static func mutate(_ stream: inout [UInt8], _ generator: inout SplitMix64) {
        for _ in 0...generator.below(2) where !stream.isEmpty {
            let place = generator.below(stream.count)
            switch generator.below(5) {
            case 0: stream[place] = UInt8(truncatingIfNeeded: generator.next())
            case 1: stream.remove(at: place)
            case 2: stream.insert(stream[place], at: place)
            case 3: stream.insert(contentsOf: pick(insertions, &generator), at: place)
            default: stream.swapAt(place, generator.below(stream.count))
            }
        }
    }

    // MARK: The other decoder

    /// The complete requests of the stream, or `nil` where the decoder refused it.
    private static func decodeByNIO(_ stream: [UInt8]) -> [Decoded.Request]? {
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)
        let channel = EmbeddedChannel(handler: ByteToMessageHandler(decoder))
        defer { _ = try? channel.finish(acceptAlreadyClosed: true) }
        var requests: [Decoded.Request] = []
        do {
            try channel.writeInbound(ByteBuffer(bytes: stream))
            while let part = try channel.readInbound(as: HTTPServerRequestPart.self) {
                switch part {
                case .head(let head): requests.append(Decoded.Request(head))
                case .body(let piece): requests[requests.count - 1].body += Array(piece.readableBytesView)
                case .end: requests[requests.count - 1].isComplete = true
                }
            }
        } catch {
            return nil
        }
        return requests.filter(\.isComplete)
    }
}

extension Decoded.Request {
    fileprivate init(_ head: HTTPRequestHead) {
        method = head.method.rawValue
        var target = head.uri[...]
        for scheme in ["http://", "https://"] where target.lowercased().hasPrefix(scheme) {
            target = target.dropFirst(scheme.count)
            target = target.firstIndex { $0 == "/" || $0 == "?" }.map { target[$0...] } ?? ""
        }
        let mark = target.firstIndex(of: "?")
        path = String(target[..<(mark ?? target.endIndex)])
        query = mark.map { String(target[target.index(after: $0)...]) }
        minorVersion = UInt8(min(head.version.minor, 1))
        keepsAlive = head.isKeepAlive
    }
}
