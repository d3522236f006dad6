import Foundation
import Primitives
import Synchronization
import Testing

/// Writers on connections of their own, until the node goes away or `stop()` is called; and the check afterwards.
final class Load: Sendable {
    static let writers = 6
    static let entitiesPerWriter = 5

    let node: TestNode
    let history = History(entities: writers * entitiesPerWriter)
    private let stopping = Mutex(false)
    private let seed: UInt64
    private let rounds = Mutex<UInt64>(0)

    init(_ node: TestNode, seed: UInt64) {
        self.node = node
        self.seed = seed
    }

    func stop() { stopping.withLock { $0 = true } }

    /// Runs all writers while `body` runs; ends when they have ended. Writers end by themselves once the node answers
    /// no more, or when `body` returns.
    func run(during body: @escaping @Sendable () throws -> Void) throws {
        stopping.withLock { $0 = false }
        let round = rounds.withLock { rounds in
            rounds += 1
            return rounds
        }
        _ = try onThreads(Self.writers + 1) { index in
            if index == Self.writers {
                defer { self.stop() }
                try body()
            } else {
                self.write(index, SplitMix64(seed: self.seed &+ round &* 1_000_003 &+ UInt64(index) &* 7919))
            }
        }
    }

    /// Waits until this many more writes have been acknowledged.
    func awaitProgress(_ writes: Int, within seconds: Double = 60) throws {
        let goal = history.acknowledgedWrites + writes
        guard eventually(within: seconds, every: 5, { history.acknowledgedWrites >= goal }) else {
            throw HarnessError(
                "\(history.acknowledgedWrites) writes were acknowledged; \(goal) were to be within \(seconds) s")
        }
    }

    // MARK: Writing

    private func write(_ writer: Int, _ generator: SplitMix64) {
        var generator = generator
        do {
            let client = try node.client()
            while !stopping.withLock({ $0 }) {
                if generator.chance(1, in: 6) {
                    try increment(client, key: history.freshKey(), again: false)
                } else {
                    let entity = writer * Self.entitiesPerWriter + generator.below(Self.entitiesPerWriter)
                    try step(client, entity, &generator)
                }
            }
        } catch {
            // The node went away in the middle: what was sent stays unanswered.
        }
    }

    private func step(_ client: EntityClient, _ entity: Int, _ generator: inout SplitMix64) throws {
        let (name, content, sequence) = history.facts.withLock { facts in
            defer { facts.entities[entity].nextSequence += 1 }
            return (facts.entities[entity].entity, facts.entities[entity].content, facts.entities[entity].nextSequence)
        }
        let next: EntityHistory.Content =
            content != .absent && generator.chance(1, in: 8) ? .absent : .written(sequence)
        let key = history.freshKey()
        history.sent(entity: entity, next, key: key)
        try settle(try send(client, name, next, key: key), entity, next)
    }

    private func send(
        _ client: EntityClient, _ name: String, _ content: EntityHistory.Content, key: String
    ) throws -> HTTPAnswer {
        let fields = [("Idempotency-Key", key)]
        switch content {
        case .absent: return try client.delete(name, fields)
        case .written(let sequence):
            return try client.put(name, Stamp(entity: name, sequence: sequence).state, type: "application/json", fields)
        }
    }

    private func settle(_ answer: HTTPAnswer, _ entity: Int, _ content: EntityHistory.Content) throws {
        switch answer.status {
        case 204:
            history.acknowledge(answer, entity: entity, content, replayed: answer["Idempotency-Replayed"] == "true")
        case 503, 507:
            history.refused(entity: entity)
            usleep(5000)
        case 504: throw HarnessError("the outcome is not known")
        default:
            history.refused(entity: entity)
            history.violated("an unexpected answer: \(answer)")
        }
    }

    private static let incrementDocument = #"{"do":[{"increment":"/n","by":1}],"else-create":{"n":0}}"#

    private func increment(_ client: EntityClient, key: String, again: Bool) throws {
        if !again { history.facts.withLock { $0.counter.unanswered.append(key) } }
        let answer = try client.patch(History.counterKey, .update, Self.incrementDocument, [("Idempotency-Key", key)])
        guard answer.status != 504 else { return }
        history.facts.withLock { facts in
            facts.counter.unanswered.removeAll { $0 == key }
            if answer.status == 204 { facts.counter.acknowledged += 1 }
        }
        if ![204, 503, 507].contains(answer.status) { history.violated("an unexpected answer: \(answer)") }
    }

    // MARK: Checking

    /// After the node has come back: nothing acknowledged is lost, nothing is torn, versions have only grown, and what
    /// was never answered took effect whole or not at all, and once.
    func verify(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let client = try node.client()
        for entity in history.facts.withLock({ $0.entities.indices }) { try verify(client, entity) }
        let unanswered = history.facts.withLock { $0.counter.unanswered }
        for key in unanswered { try increment(client, key: key, again: true) }
        let count = history.facts.withLock { $0.counter.acknowledged }
        let counter = try client.get(History.counterKey)
        if count > 0, counter.text != #"{"n":\#(count)}"# {
            history.violated("\(count) increments were acknowledged, and the counter says \(counter)")
        }
        let violations = history.violations
        #expect(violations.isEmpty, "\(violations.prefix(20).joined(separator: "\n"))", sourceLocation: sourceLocation)
        if !violations.isEmpty { throw HarnessError("\(violations.count) violations (seed \(seed))") }
    }

    private func verify(_ client: EntityClient, _ entity: Int) throws {
        let past = history.facts.withLock { $0.entities[entity] }
        let found = try client.get(past.entity)
        guard let content = content(of: found, past.entity) else {
            return history.violated("\(past.entity) is torn: \(found)")
        }
        let version = found.version64 ?? 0
        let isAcknowledged = content == past.content && (content == .absent || version == past.version)
        let mayBe = past.unanswered?.content
        guard isAcknowledged || (content == mayBe && (content == .absent || version > past.version)) else {
            return history.violated(
                """
                \(past.entity) was \(past.content) at \(past.version), may be \(String(describing: mayBe)), \
                and is \(content) at \(version)
                """)
        }
        guard let unanswered = past.unanswered else { return }
        // Asked again under its key, it must take effect now or say that it already had.
        let again = try send(client, past.entity, unanswered.content, key: unanswered.key)
        let replayed = again["Idempotency-Replayed"] == "true"
        guard again.status == 204, replayed == !isAcknowledged else {
            return history.violated(
                "\(past.entity) is \(content), \(unanswered) was asked again, and the answer was \(again)")
        }
        if replayed, content != .absent, again.version64 != version {
            history.violated("\(past.entity) is at version \(version), and its replay says \(again)")
        }
        history.acknowledge(again, entity: entity, unanswered.content, replayed: replayed)
    }

    private func content(of answer: HTTPAnswer, _ entity: String) -> EntityHistory.Content? {
        if answer.status == 404 { return .absent }
        guard answer.status == 200, let stamp = Stamp(answer.body), stamp.entity == entity else { return nil }
        return .written(stamp.sequence)
    }
}
