import Foundation
import Primitives

/// Entities that nobody changes, so that shards have something to move.
struct BulkData: Sendable {
    let count: Int
    let bytes: Int
    var kind = "bulk"

    func key(_ index: Int) -> String { "\(kind)/\(index)" }

    /// Text that hardly compresses.
    func state(_ index: Int) -> String {
        var generator = SplitMix64(seed: UInt64(index) &+ 77)
        return Data(incompressible(bytes * 3 / 4, &generator)).base64EncodedString()
    }

    func write(through endpoint: Endpoint) throws {
        let client = try endpoint.client()
        for start in stride(from: 0, to: count, by: 200) {
            let lines = (start..<min(start + 200, count)).map {
                #"{"op":"put","key":"\#(key($0))","text":"\#(state($0))"}"#
            }
            var refused: [String: Any]?
            // A busy machine may refuse some for the moment; writing the same state again does no harm.
            let areWritten = try eventually(within: 30) {
                let answers = try client.batch(lines)
                refused = answers.first { $0["status"] as? Int != 204 }
                return answers.count == lines.count && refused == nil
            }
            guard areWritten else { throw HarnessError("bulk data cannot be written: \(refused ?? [:])") }
        }
    }

    func verify(through endpoint: Endpoint) throws {
        let client = try endpoint.client()
        for start in stride(from: 0, to: count, by: 200) {
            let indexes = start..<min(start + 200, count)
            let answers = try client.batch(indexes.map { #"{"op":"get","key":"\#(key($0))"}"# })
            guard answers.count == indexes.count else { throw HarnessError("\(answers.count) answers") }
            for (index, answer) in zip(indexes, answers) where answer["text"] as? String != state(index) {
                throw HarnessError("\(key(index)) through \(endpoint) is not what was written: \(answer)")
            }
        }
    }
}
