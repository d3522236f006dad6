import Foundation
import Primitives
import Synchronization
import Testing

/// Callers that read and write through every node of a cluster, a record of what they saw, and the check afterwards:
/// every acknowledged write is there, each entity was linearizable, and whatever carried a key happened once.
final class ClusterLoad: Sendable {
    static let workers = 6
    static let registers = 40
    /// Registers that are never deleted: each stands in every list, once.
    static let steadyRegisters = 12
    static let counters = 8

    let record = LoadRecord()
    let kind: String
    let seed: UInt64
    private let endpoints: @Sendable () -> [Endpoint]
    private let pauseMicroseconds: UInt32
    private let state = Mutex(State())

    private struct State {
        var isStopping = false
        var finished: [DispatchSemaphore] = []
        var runs: UInt64 = 0
        /// Increments by counter: acknowledged under a key, acknowledged without, and of unknown outcome without.
        var keyed = [Int](repeating: 0, count: counters)
        var bare = [Int](repeating: 0, count: counters)
        var unknown = [Int](repeating: 0, count: counters)
        /// Keyed increments that no node has acknowledged so far.
        var pending: [PendingIncrement] = []
    }

    struct PendingIncrement: Sendable {
        let counter: Int
        let key: String
    }

    /// - Parameters:
    ///   - endpoints: the nodes to ask, as of the moment of the call.
    ///   - pauseMicroseconds: how long each caller thinks between two operations.
    init(
        _ endpoints: @escaping @Sendable () -> [Endpoint], kind: String = "load", seed: UInt64,
        pauseMicroseconds: UInt32 = 2000
    ) {
        self.endpoints = endpoints
        self.kind = kind
        self.seed = seed
        self.pauseMicroseconds = pauseMicroseconds
    }

    convenience init(_ cluster: TestCluster, seed: UInt64, pauseMicroseconds: UInt32 = 2000) {
        self.init({ cluster.endpoints }, seed: seed, pauseMicroseconds: pauseMicroseconds)
    }

    func register(_ index: Int) -> String { "\(kind)/\(index < Self.steadyRegisters ? "steady" : "e")-\(index)" }
    func counter(_ index: Int) -> String { "\(kind)-counter/c-\(index)" }

    var steady: [String] { (0..<Self.steadyRegisters).map(register) }

    // MARK: Running

    /// Starts the callers; they go on until ``stop()``.
    func start(window: String = "load") throws {
        record.begin(window: window)
        try writeSteadyRegisters()
        let run = state.withLock { state in
            state.isStopping = false
            state.runs += 1
            return state.runs
        }
        let finished = (0..<Self.workers).map { worker in
            let done = DispatchSemaphore(value: 0)
            let thread = Thread {
                defer { done.signal() }
                let generator = SplitMix64(seed: self.seed &+ run &* 1_000_003 &+ UInt64(worker) &* 7919)
                guard let caller = try? LoadCaller(self, self.endpoints, generator) else { return }
                while !self.state.withLock({ $0.isStopping }) {
                    caller.step()
                    usleep(self.pauseMicroseconds)
                }
            }
            thread.stackSize = 1 << 20
            thread.start()
            return done
        }
        state.withLock { $0.finished = finished }
    }

    /// Lets every caller end what it has begun.
    func stop() {
        let finished = state.withLock { state in
            state.isStopping = true
            defer { state.finished = [] }
            return state.finished
        }
        for done in finished { done.wait() }
    }

    /// Runs the callers while `body` runs.
    func run<R>(window: String = "load", during body: () throws -> R) throws -> R {
        try start(window: window)
        defer { stop() }
        return try body()
    }

    /// Waits until so many more operations have ended.
    func awaitProgress(_ operations: Int, within seconds: Double = 60) throws {
        let goal = record.operations + operations
        guard eventually(within: seconds, every: 10, { record.operations >= goal }) else {
            throw HarnessError("\(record.operations) operations ended; \(goal) were to within \(seconds) s")
        }
    }

    private func writeSteadyRegisters() throws {
        guard state.withLock({ $0.runs }) == 0 else { return }
        let caller = try LoadCaller(self, endpoints, SplitMix64(seed: seed))
        for index in 0..<Self.steadyRegisters { caller.put(index, keyed: false) }
    }

    // MARK: Counters

    func takePending() -> PendingIncrement? {
        state.withLock { $0.pending.isEmpty ? nil : $0.pending.removeFirst() }
    }

    func putBack(_ increment: PendingIncrement) { state.withLock { $0.pending.append(increment) } }
    func acknowledged(keyed counter: Int) { state.withLock { $0.keyed[counter] += 1 } }
    func acknowledged(bare counter: Int) { state.withLock { $0.bare[counter] += 1 } }
    func unknown(bare counter: Int) { state.withLock { $0.unknown[counter] += 1 } }

    // MARK: Checking

    /// Asks every node for every entity, and holds it against all that was recorded. Throws, with the history written
    /// into `folder`, where anything does not fit.
    func verify(in folder: String) throws {
        let endpoints = endpoints()
        var violations: [String] = []
        do {
            let caller = try LoadCaller(self, self.endpoints, SplitMix64(seed: seed))
            let deadline = Deadline(seconds: 60)
            while let increment = takePending() {
                guard !deadline.hasPassed else { throw HarnessError("\(increment) is refused over and over") }
                if !caller.increment(increment) { usleep(50_000) }
            }
            for endpoint in endpoints {
                try verifyRegisters(endpoint)
                violations += try verifyCounters(endpoint)
            }
            if let last = endpoints.last { violations += try verifyList(last) }
        } catch {
            violations.append("the check could not be done: \(error)")
        }
        violations += record.violations()
        guard !violations.isEmpty else { return }
        let history = "\(folder)/history-\(kind).txt"
        try? record.text().write(toFile: history, atomically: false, encoding: .utf8)
        let shown = violations.prefix(20).joined(separator: "\n")
        throw HarnessError("\(violations.count) violations under seed \(seed), the history is in \(history):\n\(shown)")
    }

    private func verifyRegisters(_ endpoint: Endpoint) throws {
        let client = try endpoint.client()
        for index in 0..<Self.registers {
            let start = record.now
            let answer = try client.get(register(index))
            guard let result = Self.sight(answer) else {
                throw HarnessError("\(register(index)) through \(endpoint): \(answer)")
            }
            record.observed(register(index), since: start, through: endpoint, result)
        }
    }

    private func verifyCounters(_ endpoint: Endpoint) throws -> [String] {
        let client = try endpoint.client()
        return try (0..<Self.counters).compactMap { index in
            let (keyed, bare, unknown) = state.withLock { ($0.keyed[index], $0.bare[index], $0.unknown[index]) }
            let answer = try client.get(counter(index))
            guard answer.status == 200 || answer.status == 404 else {
                return "\(counter(index)) through \(endpoint): \(answer)"
            }
            // The keyed ones and the others count beside each other, so that neither can hide what the other lacks.
            let (keyedFound, bareFound) = (answer.object["keyed"] as? Int ?? 0, answer.object["bare"] as? Int ?? 0)
            let holds = keyedFound == keyed && (bare...(bare + unknown)).contains(bareFound)
            return holds
                ? nil
                : """
                \(counter(index)) through \(endpoint) is \(answer.text): \(keyed) keyed increments were acknowledged, \
                and \(bare) without a key, \(unknown) more may have happened
                """
        }
    }

    private func verifyList(_ endpoint: Endpoint) throws -> [String] {
        let keys = try endpoint.client().listAll(kind, limit: 7).compactMap { $0["key"] as? String }
        return steady.compactMap { key in
            let count = keys.count { $0 == key }
            return count == 1 ? nil : "\(key) stands \(count) times in the list of \(endpoint)"
        }
    }

    /// What a GET of a register tells; `nil` for a refusal, and for a state that no write ever sent.
    static func sight(_ answer: HTTPAnswer) -> Observation.Result? {
        guard let position = answer.position?.position else { return nil }
        if answer.status == 404, answer.problemCode == "not-found" {
            return .saw(.absent, version: nil, position: position)
        }
        guard answer.status == 200, let stamp = Stamp(answer.body), let version = answer.version64 else { return nil }
        return .saw(.written(stamp.sequence), version: version, position: position)
    }
}
