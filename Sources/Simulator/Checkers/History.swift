import Entities
import Primitives

/// What clients asked and were told, each with its moments.
final class History {
    /// One operation, from its first attempt to its final answer.
    struct Operation {
        let line: Line
        let client: Endpoint
        /// Operations of one request count up here; they take effect in this order.
        let lineIndex: Int
        let request: UInt64
        let invoked: UInt64
        let invokedTime: UInt64
        var returned: UInt64?
        var answer: Answer?
        /// An attempt may have reached the node and was not answered, or was delivered twice.
        var mayStillRun = false
        /// The operation that this one is a late repetition of: it must be answered the same.
        var repeats: Int?
        /// Where its effect stands in the log; set by the audit.
        var effect: Position?
    }

    private(set) var operations: [Operation] = []
    private(set) var lists: [ListScan] = []

    func begin(_ line: Line, client: Endpoint, lineIndex: Int, request: UInt64, moment: UInt64, time: UInt64) -> Int {
        operations.append(
            Operation(
                line: line, client: client, lineIndex: lineIndex, request: request, invoked: moment,
                invokedTime: time))
        return operations.count - 1
    }

    func end(_ operation: Int, _ answer: Answer, moment: UInt64) {
        operations[operation].returned = moment
        operations[operation].answer = answer
    }

    func leaveOpen(_ operation: Int) { operations[operation].mayStillRun = true }

    func found(effectOf operation: Int, at position: Position) { operations[operation].effect = position }

    func repeated(_ operation: Int, of first: Int) { operations[operation].repeats = first }

    func record(_ scan: ListScan) { lists.append(scan) }
}

/// A whole scan, from the first page's request to the last page's answer.
struct ListScan {
    let prefix: [UInt8]
    let began: UInt64
    var ended: UInt64 = 0
    var items: [(key: [UInt8], version: Position)] = []
    var isComplete = false
}

/// States name the operation that made them, so that a checker can tell whose they are: `#ID;…` in plain ones, a member
/// `"op"` in JSON ones.
enum OperationID {
    static func plainState(_ id: UInt64, filler: Int) -> [UInt8] {
        var state = Array("#\(id);".utf8)
        let start = state.count
        // Every fourth byte differs, so that states compress, but not to nothing.
        state.append(contentsOf: repeatElement(97, count: filler))
        for index in stride(from: 0, to: filler, by: 4) {
            state[start + index] = UInt8(truncatingIfNeeded: id &+ UInt64(index))
        }
        return state
    }

    static func read(from state: ArraySlice<UInt8>) -> UInt64? {
        if state.first == UInt8(ascii: "#") { return number(state.dropFirst()) }
        return member("op", of: state)
    }

    /// The number in member `name` of a flat JSON object written by ``Counters``.
    static func member(_ name: String, of state: ArraySlice<UInt8>) -> UInt64? {
        let mark = Array("\"\(name)\":".utf8)
        var rest = state
        while rest.count >= mark.count {
            if rest.starts(with: mark) { return number(rest.dropFirst(mark.count)) }
            rest = rest.dropFirst()
        }
        return nil
    }

    static func number(_ text: ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64?
        for byte in text {
            guard byte >= 48, byte <= 57 else { break }
            value = (value ?? 0) &* 10 &+ UInt64(byte - 48)
        }
        return value
    }
}
