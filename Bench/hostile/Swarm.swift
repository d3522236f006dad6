import Foundation
import Primitives
import Synchronization

/// What the swarm knows of the node.
struct Target: Sendable {
    let ports: Ports
    let identity: (high: UInt64, low: UInt64)
}

/// Hostile clients, each on a thread: one attack after the other, drawn by a seed, until the end.
final class Swarm: Sendable {
    private let target: Target
    private let attacks: [Attack]
    private let connections: Int
    private let pace: Int
    private let seed: UInt64
    private let state = Mutex(State())

    private struct State {
        var isOver = false
        var running = 0
        var counts: [Attack: Int] = [:]
        var refusedConnections = 0
    }

    init(victim: Target, attacks: [Attack], connections: Int, paceMilliseconds: Int, seed: UInt64) {
        target = victim
        self.attacks = attacks
        self.connections = connections
        pace = paceMilliseconds
        self.seed = seed
    }

    var isOver: Bool { state.withLock { $0.isOver } }

    func begin() {
        for index in 0..<connections {
            state.withLock { $0.running += 1 }
            let thread = Thread { [self] in
                run(SplitMix64(seed: seed &+ UInt64(index) &* 0x9E37_79B9))
                state.withLock { $0.running -= 1 }
            }
            thread.stackSize = 1 << 20
            thread.start()
        }
    }

    /// Tells every client to leave, and waits until all have.
    func end() {
        state.withLock { $0.isOver = true }
        while state.withLock({ $0.running }) > 0 { usleep(20_000) }
    }

    private func run(_ generator: SplitMix64) {
        var attacker = Attacker(target: target, swarm: self, generator: generator)
        while !isOver {
            let attack = attacks[Int(attacker.below(UInt64(attacks.count)))]
            if attacker.run(attack) {
                state.withLock { $0.counts[attack, default: 0] += 1 }
            } else {
                state.withLock { $0.refusedConnections += 1 }
            }
            attacker.pause(milliseconds: pace == 0 ? 0 : Int(attacker.below(UInt64(2 * pace))))
        }
    }

    var summary: String {
        let (counts, refused) = state.withLock { ($0.counts, $0.refusedConnections) }
        let each = counts.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.key.rawValue) \($0.value)" }
        return "attacks: " + each.joined(separator: ", ") + "; connections refused: \(refused)"
    }
}

/// One hostile client.
struct Attacker {
    let target: Target
    private let swarm: Swarm
    private var generator: SplitMix64

    init(target: Target, swarm: Swarm, generator: SplitMix64) {
        self.target = target
        self.swarm = swarm
        self.generator = generator
    }

    mutating func below(_ bound: UInt64) -> UInt64 { generator.below(bound) }

    mutating func word() -> UInt64 { generator.next() }

    mutating func pick<Element>(_ choices: [Element]) -> Element { choices[Int(below(UInt64(choices.count)))] }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    /// Sleeps, and wakes early at the end of the swarm.
    func pause(milliseconds: Int) {
        var left = milliseconds
        while left > 0, !swarm.isOver {
            usleep(UInt32(min(left, 100)) * 1000)
            left -= 100
        }
    }

    var isOver: Bool { swarm.isOver }
}
