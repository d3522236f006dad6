/// What an entity holds, as far as the load tells it: nothing, or the state that write `number` stamped.
enum Content: Hashable, Sendable {
    case absent
    case written(Int)
}

/// One operation on one entity as its caller saw it.
struct Observation: Sendable {
    enum Result: Hashable, Sendable {
        /// The write took effect once between the two times. `over`: the version that an `If-Match` named.
        case wrote(Content, version: UInt64, over: UInt64?)
        /// The write may have taken effect at any time after it was invoked, or never.
        case mayHaveWritten(Content)
        /// The write was refused: it never took effect.
        case refused(Content)
        /// A read of the state that was current at `position`.
        case saw(Content, version: UInt64?, position: UInt64)
        /// An answer that told the current version and not the state; no version means absent.
        case sawVersion(UInt64)
    }

    let entity: String
    /// Nanoseconds on one clock of the test.
    let invoked: UInt64
    let returned: UInt64
    let result: Result
    /// Whom it was asked of.
    let through: String
}

extension Observation: CustomStringConvertible {
    var description: String { "\(entity) \(invoked)…\(returned) through \(through): \(result)" }
}

/// Whether what was observed of one entity can have happened one after the other, each operation between its call and
/// its answer.
///
/// Versions and positions order the writes of an entity totally, so that one sweep decides it: each observation has a
/// lowest and a highest place in that order, and none may lie below an observation that had ended before it began.
struct Linearizability {
    private let entity: String
    private let observations: [Observation]
    private var violations: [String] = []
    /// What each version that anyone knows of holds, ascending.
    private var versions: [(version: UInt64, content: Content)] = []
    private var versionOfWrite: [Int: UInt64] = [:]

    /// - Parameter observations: of one entity, which was absent before the first of them.
    static func violations(of observations: [Observation]) -> [String] {
        guard let entity = observations.first?.entity else { return [] }
        var checker = Linearizability(
            entity: entity, observations: observations.sorted { ($0.invoked, $0.returned) < ($1.invoked, $1.returned) })
        checker.bindVersions()
        checker.checkReads()
        checker.checkConditions()
        checker.sweep()
        return checker.violations
    }

    private init(entity: String, observations: [Observation]) {
        self.entity = entity
        self.observations = observations
    }

    private mutating func violated(_ text: String) { violations.append("\(entity): \(text)") }

    // MARK: What each version holds

    private mutating func bindVersions() {
        var contents: [UInt64: Content] = [:]
        var refused: Set<Int> = []
        var invoked: [Int: UInt64] = [:]
        for observation in observations {
            switch observation.result {
            case .wrote(let content, let version, _):
                if let other = contents.updateValue(content, forKey: version), other != content {
                    violated("version \(version) was given to \(other) and to \(content)")
                }
                if case .written(let number) = content {
                    invoked[number] = observation.invoked
                    bind(number, to: version)
                }
            case .mayHaveWritten(.written(let number)): invoked[number] = observation.invoked
            case .refused(.written(let number)): refused.insert(number)
            default: break
            }
        }
        for observation in observations {
            guard case .saw(.written(let number), let version?, _) = observation.result else { continue }
            if refused.contains(number) { violated("\(observation): this write had been refused") }
            guard let start = invoked[number] else {
                violated("\(observation): nobody wrote this")
                continue
            }
            if start > observation.returned { violated("\(observation): seen before it was sent") }
            if let other = contents.updateValue(.written(number), forKey: version), other != .written(number) {
                violated("\(observation): version \(version) holds \(other)")
            }
            bind(number, to: version)
        }
        versions = contents.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private mutating func bind(_ number: Int, to version: UInt64) {
        if let other = versionOfWrite.updateValue(version, forKey: number), other != version {
            violated("write \(number) took effect at \(other) and at \(version)")
        }
    }

    /// The last version that is known at or below `position`.
    private func known(at position: UInt64) -> (version: UInt64, content: Content)? {
        var (low, high) = (0, versions.count)
        while low < high {
            let middle = (low + high) / 2
            if versions[middle].version <= position { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : versions[low - 1]
    }

    // MARK: What reads say against it

    private mutating func checkReads() {
        let unknownDeletes = observations.filter { $0.result == .mayHaveWritten(.absent) }.map(\.invoked)
        for observation in observations {
            guard case .saw(let content, let version, let position) = observation.result else { continue }
            let last = known(at: position)
            if let version {
                if let last, last.version > version {
                    violated("\(observation): at its position the entity was \(last.content) at \(last.version)")
                }
            } else if content == .absent, let last, last.content != .absent {
                let mayBeDeleted = unknownDeletes.contains { $0 <= observation.returned }
                if !mayBeDeleted { violated("\(observation): at its position it was \(last)") }
            }
        }
    }

    /// A write under `If-Match` took effect directly after the version that it named.
    private mutating func checkConditions() {
        for observation in observations {
            guard case .wrote(_, let version, let over?) = observation.result else { continue }
            if let before = known(at: version - 1), before.version != over {
                violated("\(observation): the version before it was \(before.version)")
            }
        }
    }

    // MARK: Real time

    private mutating func sweep() {
        let byEnd = observations.sorted { $0.returned < $1.returned }
        var ended = 0
        var (low, position): (UInt64, UInt64) = (0, 0)
        var last: Observation?
        for observation in observations {
            while ended < byEnd.count, byEnd[ended].returned < observation.invoked {
                let bounds = bounds(byEnd[ended])
                if bounds.low > low { (low, last) = (bounds.low, byEnd[ended]) }
                position = max(position, bounds.position)
                ended += 1
            }
            guard let high = bounds(observation).high else { continue }
            if case .wrote = observation.result {
                if high <= max(low, position) {
                    violated("\(observation): not after \(String(describing: last)), nor position \(position)")
                }
            } else if high < low {
                violated("\(observation): goes back behind \(String(describing: last))")
            }
        }
    }

    /// The lowest and the highest version that can have been current, and the position that was told.
    private func bounds(_ observation: Observation) -> (low: UInt64, high: UInt64?, position: UInt64) {
        switch observation.result {
        case .wrote(_, let version, _): (version, version, version)
        case .sawVersion(let version): (version, version, version)
        case .saw(_, let version?, let position): (version, version, position)
        case .saw(_, nil, let position): (known(at: position)?.version ?? 0, position, position)
        case .mayHaveWritten, .refused: (0, nil, 0)
        }
    }
}
