import Foundation
import Primitives
import Synchronization

/// Everything that a load has recorded.
final class LoadRecord: Sendable {
    /// Latencies and failures of one phase of a test.
    struct Window: Sendable {
        var nanoseconds: [UInt64] = []
        var failures: [String: Int] = [:]

        var failed: Int { failures.values.reduce(0, +) }

        /// In milliseconds; 0 where nothing was measured.
        func percentile(_ fraction: Double) -> Double {
            guard !nanoseconds.isEmpty else { return 0 }
            let sorted = nanoseconds.sorted()
            return Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * fraction))]) / 1e6
        }

        var summary: String {
            let times = [("p50", 0.5), ("p99", 0.99), ("max", 1)].map { name, fraction in
                "\(name) \(String(format: "%.1f", percentile(fraction))) ms"
            }
            let failed = failures.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
            return "\(nanoseconds.count) operations, \(times.joined(separator: ", ")), "
                + (failed.isEmpty ? "no failure" : "failures: \(failed.joined(separator: ", "))")
        }
    }

    private struct Facts {
        var observations: [Observation] = []
        var windows: [String: Window] = [:]
        var windowOrder: [String] = []
        var window = ""
        var positions: Set<String> = []
        var violations: [String] = []
        var lastNumber = 0
    }

    private let facts = Mutex(Facts())
    private let start = ContinuousClock.now

    /// Nanoseconds since the record began.
    var now: UInt64 { UInt64(start.duration(to: .now) / .nanoseconds(1)) }

    /// A number that no other write, and no key of one, has had.
    func freshNumber() -> Int {
        facts.withLock { facts in
            facts.lastNumber += 1
            return facts.lastNumber
        }
    }

    var operations: Int { facts.withLock { $0.windows.values.reduce(0) { $0 + $1.nanoseconds.count } } }

    func violated(_ text: String) { facts.withLock { $0.violations.append(text) } }

    func observed(
        _ entity: String, since invoked: UInt64, through endpoint: Endpoint, _ result: Observation.Result
    ) {
        let observation = Observation(
            entity: entity, invoked: invoked, returned: now, result: result, through: endpoint.id)
        facts.withLock { $0.observations.append(observation) }
    }

    /// A position that a write was given belongs to it alone.
    func took(shard: Int, position: UInt64, _ entity: String) {
        facts.withLock { facts in
            if !facts.positions.insert("\(shard):\(position)").inserted {
                facts.violations.append("\(entity): position \(position) of shard \(shard) was given to two writes")
            }
        }
    }

    // MARK: Windows

    /// From here on, latencies and failures are counted under this name.
    func begin(window: String) {
        facts.withLock { facts in
            facts.window = window
            if facts.windows[window] == nil {
                facts.windows[window] = Window()
                facts.windowOrder.append(window)
            }
        }
    }

    func window(_ name: String) -> Window { facts.withLock { $0.windows[name] ?? Window() } }

    func took(since invoked: UInt64) {
        let elapsed = now - invoked
        facts.withLock { $0.windows[$0.window]?.nanoseconds.append(elapsed) }
    }

    func failed(_ kind: String) { facts.withLock { $0.windows[$0.window]?.failures[kind, default: 0] += 1 } }

    /// One line a window.
    var summary: String {
        facts.withLock { facts in
            facts.windowOrder.map { "\($0): \(facts.windows[$0]?.summary ?? "")" }.joined(separator: "\n")
        }
    }

    // MARK: The verdict

    /// What was violated so far, by the load itself and by the history of each entity.
    func violations() -> [String] {
        let (observations, violations) = facts.withLock { ($0.observations, $0.violations) }
        let byEntity = Dictionary(grouping: observations, by: \.entity)
        return violations
            + byEntity.sorted { $0.key < $1.key }.flatMap { Linearizability.violations(of: $0.value) }
    }

    /// The history, one line an observation, the entities one after the other.
    func text() -> String {
        let observations = facts.withLock { $0.observations }
        return observations.sorted { ($0.entity, $0.invoked) < ($1.entity, $1.invoked) }
            .map { "\($0)\n" }.joined()
    }
}
