import Foundation
import Primitives
import Synchronization

/// The state of an entity under load: which write it was, and a checksum over everything, so that a torn, mixed or
/// stale state cannot pass for a sound one.
struct Stamp: Hashable, Sendable {
    let entity: String
    let sequence: Int

    /// JSON with a filler whose length and bytes depend on the stamp.
    var state: [UInt8] {
        var generator = SplitMix64(
            seed: UInt64(sequence) &* 7919 &+ entity.utf8.reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) })
        let filler = String(
            (0..<generator.below(900)).map { _ in Character(UnicodeScalar(UInt8(97 + generator.below(26)))) })
        let text = #"{"entity":"\#(entity)","sequence":\#(sequence),"filler":"\#(filler)""#
        return Array("\(text),\"sum\":\(CRC32C.checksum(Array(text.utf8)))}".utf8)
    }

    /// The stamp of a state, or `nil` for bytes that no write ever sent.
    init?(_ state: [UInt8]) {
        guard let object = try? JSONSerialization.jsonObject(with: Data(state)) as? [String: Any],
            let entity = object["entity"] as? String, let sequence = object["sequence"] as? Int
        else { return nil }
        self.init(entity: entity, sequence: sequence)
        guard self.state == state else { return nil }
    }

    init(entity: String, sequence: Int) {
        self.entity = entity
        self.sequence = sequence
    }
}

/// What one writer knows about one entity that only it writes.
struct EntityHistory: Sendable {
    enum Content: Hashable, Sendable {
        case absent
        case written(Int)
    }

    let entity: String
    /// The last content that was acknowledged, and the version that came with it.
    var content = Content.absent
    var version: UInt64 = 0
    /// A write that was sent and never answered: it may or may not have taken effect.
    var unanswered: (content: Content, key: String)?
    var nextSequence = 1
}

/// What a counter that everybody increments must come to.
struct CounterHistory: Sendable {
    var acknowledged = 0
    /// Idempotency keys of increments that were sent and never answered.
    var unanswered: [String] = []
}

/// Everything that a load has recorded so far, over all lives of the node.
final class History: Sendable {
    struct Facts: Sendable {
        var entities: [EntityHistory]
        var counter = CounterHistory()
        var acknowledgedWrites = 0
        /// Each `SHARD:POSITION` of an acknowledged write: no two may share one.
        var positions: Set<String> = []
        var violations: [String] = []
        var keys = 0
    }

    static let counterKey = "load/counter"

    let facts: Mutex<Facts>

    init(entities: Int) {
        facts = Mutex(Facts(entities: (0..<entities).map { EntityHistory(entity: "load/e-\($0)") }))
    }

    var acknowledgedWrites: Int { facts.withLock { $0.acknowledgedWrites } }
    var violations: [String] { facts.withLock { $0.violations } }

    func violated(_ text: String) { facts.withLock { $0.violations.append(text) } }

    func freshKey() -> String {
        facts.withLock { facts in
            facts.keys += 1
            return "key-\(facts.keys)"
        }
    }

    /// An acknowledged write: its position is its own, and it is above what was there.
    func acknowledge(_ answer: HTTPAnswer, entity: Int, _ content: EntityHistory.Content, replayed: Bool) {
        facts.withLock { facts in
            facts.acknowledgedWrites += 1
            guard let version = answer.version64, let shard = answer.position?.shard else {
                return facts.violations.append("a write without a version: \(answer)")
            }
            if version <= facts.entities[entity].version {
                facts.violations.append(
                    "\(facts.entities[entity].entity) went from version \(facts.entities[entity].version) to \(version)"
                )
            }
            if !replayed, !facts.positions.insert("\(shard):\(version)").inserted {
                facts.violations.append("two writes took position \(version) of shard \(shard)")
            }
            facts.entities[entity].content = content
            facts.entities[entity].version = version
            facts.entities[entity].unanswered = nil
        }
    }

    func sent(entity: Int, _ content: EntityHistory.Content, key: String) {
        facts.withLock { $0.entities[entity].unanswered = (content, key) }
    }

    /// The write was refused and changed nothing.
    func refused(entity: Int) { facts.withLock { $0.entities[entity].unanswered = nil } }
}
