import DequeModule
import Primitives

/// The committed updates that a move's target may still lack, bounded in bytes.
struct MoveTee {
    private var payloads = Deque<[UInt8]>()
    /// The position before the oldest one kept.
    private(set) var trimmed: Position
    private(set) var byteCount = 0
    private let bytesMax: Int

    /// Begins after `position`, with nothing.
    init(after position: Position, bytesMax: Int) {
        trimmed = position
        self.bytesMax = bytesMax
    }

    var last: Position { Position(trimmed.rawValue + UInt64(payloads.count)) }

    /// False: there is no room, and nothing was kept.
    mutating func append(_ payload: [UInt8]) -> Bool {
        guard byteCount + payload.count <= bytesMax else { return false }
        payloads.append(payload)
        byteCount += payload.count
        return true
    }

    mutating func trim(through position: Position) {
        while trimmed < position { dropFirst() }
    }

    mutating func dropFirst() {
        guard let payload = payloads.popFirst() else {
            preconditionFailure("the target has nothing that it was not given")
        }
        byteCount -= payload.count
        trimmed = trimmed.next
    }

    /// What comes after `position`, up to `bytesMax`, but at least one update where there is one, and no more of them
    /// than go into one message.
    func records(after position: Position, bytesMax: Int) -> [[UInt8]] {
        guard position >= trimmed, position < last else { return [] }
        var bytes = 0
        var taken: [[UInt8]] = []
        for payload in payloads[Int(position.rawValue - trimmed.rawValue)...].prefix(Limits.peerRecordsMax) {
            bytes += payload.count
            if bytes > bytesMax, !taken.isEmpty { break }
            taken.append(payload)
        }
        return taken
    }
}
