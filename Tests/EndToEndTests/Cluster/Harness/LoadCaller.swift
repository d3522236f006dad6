import Foundation
import Primitives

/// One caller of a ``ClusterLoad``: does one operation after the other and records what it saw.
final class LoadCaller {
    /// How long it waits after a refusal that says to come again, in microseconds.
    private static let backOff: UInt32 = 20_000
    /// How often a keyed write is sent again before the caller gives it up as unknown.
    private static let attemptsMax = 40

    private let load: ClusterLoad
    private let client: LoadClient
    private var generator: SplitMix64

    private var record: LoadRecord { load.record }

    init(_ load: ClusterLoad, _ endpoints: @escaping @Sendable () -> [Endpoint], _ generator: SplitMix64) throws {
        var generator = generator
        self.load = load
        client = try LoadClient(endpoints, generator.split())
        self.generator = generator
    }

    /// One operation, drawn at random.
    func step() {
        let register = generator.below(ClusterLoad.registers)
        switch generator.below(100) {
        case 0..<18: put(register, keyed: false)
        case 18..<28: put(register, keyed: true)
        case 28..<33: delete(register)
        case 33..<60: get(register)
        case 60..<70: replace(register)
        case 70..<84:
            increment(
                load.takePending()
                    ?? ClusterLoad.PendingIncrement(
                        counter: generator.below(ClusterLoad.counters), key: "increment-\(record.freshNumber())"))
        case 84..<88: incrementWithoutKey(generator.below(ClusterLoad.counters))
        case 88..<96: batch()
        default: list()
        }
    }

    // MARK: Requests

    /// How a request went, for what follows from it.
    private enum Outcome {
        case answered(HTTPAnswer)
        /// It was refused and changed nothing.
        case refused
        case unknown
    }

    /// Sends one request, and counts its time and its failure.
    private func ask(
        _ method: String, _ target: String, _ fields: [(String, String)] = [], body: [UInt8]? = nil
    ) -> Outcome {
        let start = record.now
        do {
            let answer = try client.send(method, target, fields, body: body)
            record.took(since: start)
            return judge(answer)
        } catch {
            record.took(since: start)
            usleep(Self.backOff)
            switch error {
            case .notSent(let why):
                record.failed(why)
                return .refused
            case .lost(let why):
                record.failed(why)
                return .unknown
            }
        }
    }

    private func judge(_ answer: HTTPAnswer) -> Outcome {
        switch answer.status {
        case 200, 204, 404, 412: return .answered(answer)
        case 503, 507:
            record.failed("\(answer.status) \(answer.problemCode ?? "without a code")")
            if answer.object["applied"] as? String != "no" { record.violated("not a sound refusal: \(answer)") }
            client.turnAway()
            usleep(Self.backOff)
            return .refused
        case 504:
            record.failed("504 \(answer.problemCode ?? "without a code")")
            client.turnAway()
            return .unknown
        default:
            record.violated("an unexpected answer: \(answer)")
            return .refused
        }
    }

    private func observed(_ entity: String, since start: UInt64, _ result: Observation.Result) {
        record.observed(entity, since: start, through: client.endpoint, result)
    }

    // MARK: Registers

    func put(_ register: Int, keyed: Bool) { write(register, .written(record.freshNumber()), keyed: keyed) }

    private func delete(_ register: Int) {
        guard register >= ClusterLoad.steadyRegisters else { return }
        write(register, .absent, keyed: false)
    }

    private func write(_ register: Int, _ content: Content, keyed: Bool, over version: UInt64? = nil) {
        let entity = load.register(register)
        var fields = version.map { [("If-Match", "\"\($0)\"")] } ?? []
        if keyed { fields.append(("Idempotency-Key", "write-\(record.freshNumber())")) }
        let start = record.now
        var isUnknown = false
        for _ in 0..<Self.attemptsMax {
            switch send(entity, content, fields) {
            case .answered(let answer):
                return settle(answer, entity, content, since: start, over: version, mayHaveHappened: isUnknown)
            case .refused:
                if !isUnknown { return observed(entity, since: start, .refused(content)) }
            case .unknown:
                isUnknown = true
            }
            // What carries a key is asked again, of any node, until one knows what became of it.
            guard keyed else { break }
        }
        observed(entity, since: start, .mayHaveWritten(content))
    }

    private func send(_ entity: String, _ content: Content, _ fields: [(String, String)]) -> Outcome {
        switch content {
        case .absent: return ask("DELETE", EntityClient.path(entity), fields)
        case .written(let number):
            return ask(
                "PUT", EntityClient.path(entity), fields + [("Content-Type", "application/json")],
                body: Stamp(entity: entity, sequence: number).state)
        }
    }

    /// - Parameter mayHaveHappened: whether an earlier attempt under the same key was lost.
    private func settle(
        _ answer: HTTPAnswer, _ entity: String, _ content: Content, since start: UInt64, over version: UInt64?,
        mayHaveHappened: Bool
    ) {
        switch answer.status {
        case 204:
            guard let written = answer.version64, let position = answer.position else {
                return record.violated("a write without a version: \(answer)")
            }
            let isReplay = answer["Idempotency-Replayed"] == "true"
            if isReplay, !mayHaveHappened { record.violated("\(entity): a replay of a first request: \(answer)") }
            record.took(shard: position.shard, position: written, entity)
            observed(entity, since: start, .wrote(content, version: written, over: version))
        case 404 where content == .absent:
            observed(entity, since: start, .saw(.absent, version: nil, position: answer.position?.position ?? 0))
        case 412:
            if content != .absent { observed(entity, since: start, .refused(content)) }
            if let current = answer.version64 { observed(entity, since: start, .sawVersion(current)) }
        default:
            record.violated("\(entity): an unexpected answer: \(answer)")
        }
    }

    private func get(_ register: Int) {
        _ = look(register)
    }

    private func look(_ register: Int) -> Observation.Result? {
        let entity = load.register(register)
        let start = record.now
        guard case .answered(let answer) = ask("GET", EntityClient.path(entity)) else { return nil }
        guard let sight = ClusterLoad.sight(answer) else {
            record.violated("\(entity) is torn: \(answer)")
            return nil
        }
        observed(entity, since: start, sight)
        return sight
    }

    /// Reads, and writes over exactly what was read.
    private func replace(_ register: Int) {
        guard case .saw(_, let version?, _) = look(register) else { return }
        write(register, .written(record.freshNumber()), keyed: false, over: version)
    }

    // MARK: Counters

    private static func document(_ member: String) -> [UInt8] {
        Array(#"{"do":[{"increment":"/\#(member)","by":1}],"else-create":{"keyed":0,"bare":0}}"#.utf8)
    }

    private func increment(_ counter: Int, _ member: String, _ fields: [(String, String)]) -> Outcome {
        ask(
            "PATCH", EntityClient.path(load.counter(counter)),
            [("Content-Type", PatchKind.update.rawValue)] + fields, body: Self.document(member))
    }

    /// Whether it was acknowledged; else it is put back, to be asked again.
    @discardableResult
    func increment(_ increment: ClusterLoad.PendingIncrement) -> Bool {
        let outcome = self.increment(increment.counter, "keyed", [("Idempotency-Key", increment.key)])
        guard case .answered(let answer) = outcome, answer.status == 204 else {
            if case .answered(let answer) = outcome { record.violated("an unexpected answer: \(answer)") }
            load.putBack(increment)
            return false
        }
        load.acknowledged(keyed: increment.counter)
        return true
    }

    private func incrementWithoutKey(_ counter: Int) {
        switch increment(counter, "bare", []) {
        case .answered(let answer) where answer.status == 204: load.acknowledged(bare: counter)
        case .answered(let answer): record.violated("an unexpected answer: \(answer)")
        case .refused: break
        case .unknown: load.unknown(bare: counter)
        }
    }

    // MARK: Many at once

    private struct Line {
        let entity: String
        let content: Content?

        var text: String {
            guard case .written(let number)? = content else { return #"{"op":"get","key":"\#(entity)"}"# }
            let state = String(decoding: Stamp(entity: entity, sequence: number).state, as: UTF8.self)
            return #"{"op":"put","key":"\#(entity)","json":\#(state)}"#
        }
    }

    private func batch() {
        let lines = (0..<(2 + generator.below(12))).map { _ in
            Line(
                entity: load.register(generator.below(ClusterLoad.registers)),
                content: generator.chance(1, in: 2) ? .written(record.freshNumber()) : nil)
        }
        let start = record.now
        let outcome = ask(
            "POST", "/v1/batch", [("Content-Type", "application/x-ndjson")],
            body: Array(lines.map { $0.text + "\n" }.joined().utf8))
        var answers: [[String: Any]] = []
        switch outcome {
        case .refused: return
        case .answered(let answer): answers = (try? EntityClient.lines(of: answer.body)) ?? []
        case .unknown: break
        }
        if case .answered = outcome, answers.count != lines.count {
            record.violated("\(lines.count) lines had \(answers.count) answers")
        }
        for (index, line) in lines.enumerated() {
            settle(line, index < answers.count ? answers[index] : [:], since: start)
        }
    }

    private func settle(_ line: Line, _ answer: [String: Any], since start: UInt64) {
        let version = (answer["etag"] as? String).flatMap(HTTPAnswer.version)
        let parts = (answer["position"] as? String)?.split(separator: ":").compactMap { UInt64($0) } ?? []
        let status = answer["status"] as? Int ?? 504
        switch (status, line.content, parts.count == 2 ? parts[1] : nil, version) {
        case (204, let content?, let position?, let version?):
            record.took(shard: Int(parts[0]), position: position, line.entity)
            observed(line.entity, since: start, .wrote(content, version: version, over: nil))
        case (200, nil, _, let version?): observed(line.entity, since: start, .sawVersion(version))
        case (404, nil, let position?, nil):
            observed(line.entity, since: start, .saw(.absent, version: nil, position: position))
        case (503, let content, _, _), (507, let content, _, _):
            record.failed("\(status) in a batch")
            if let content { observed(line.entity, since: start, .refused(content)) }
        case (504, let content, _, _):
            record.failed("504 in a batch")
            if let content { observed(line.entity, since: start, .mayHaveWritten(content)) }
        default: record.violated("\(line.entity): an unexpected line: \(answer)")
        }
    }

    private func list() {
        let start = record.now
        guard case .answered(let answer) = ask("GET", "/v1/entities/\(load.kind)?limit=1000") else { return }
        guard let items = answer.object["items"] as? [[String: Any]],
            let harvest = answer.object["harvest"] as? [String: Any], let missing = harvest["missing"] as? [Int]
        else { return record.violated("not a list: \(answer)") }
        var seen: [String: Int] = [:]
        for item in items {
            guard let key = item["key"] as? String,
                let version = (item["etag"] as? String).flatMap(HTTPAnswer.version)
            else {
                record.violated("not an item: \(item)")
                continue
            }
            seen[key, default: 0] += 1
            observed(key, since: start, .sawVersion(version))
        }
        for (key, count) in seen where count > 1 { record.violated("\(key) stands \(count) times in one list") }
        guard missing.isEmpty else { return record.failed("a list without every shard") }
        // A page may end early; what it lacks is then behind its cursor.
        guard answer.object["cursor"] as? String == nil else { return }
        for key in load.steady where seen[key] == nil {
            record.violated("\(key) is not in a list that says it is whole")
        }
    }
}
