import Primitives

/// A party on the network.
struct Endpoint: Hashable, Comparable {
    let rawValue: UInt32

    /// Nodes count from 0.
    static func node(_ index: Int) -> Endpoint { Endpoint(rawValue: UInt32(index)) }
    static func client(_ index: Int) -> Endpoint { Endpoint(rawValue: 1000 + UInt32(index)) }

    static func < (left: Endpoint, right: Endpoint) -> Bool { left.rawValue < right.rawValue }
}

/// Carries messages between endpoints, each direction on its own: delay, loss, duplication, reordering (each message
/// draws its own delay), cuts of one direction or both, and clogs, which hold a direction's messages and let them go
/// together.
final class VirtualNetwork<Message> {
    private struct Direction: Hashable {
        let from: Endpoint
        let to: Endpoint
    }

    private let world: World
    private let settings: NetworkSettings
    private var random: SplitMix64
    private var cutUntil: [Direction: UInt64] = [:]
    private var clogUntil: [Direction: UInt64] = [:]
    private var lastArrival: [Direction: UInt64] = [:]
    private let deliver: (Endpoint, Message) -> Void

    init(
        world: World, settings: NetworkSettings, random: SplitMix64,
        deliver: @escaping (Endpoint, Message) -> Void
    ) {
        self.world = world
        self.settings = settings
        self.random = random
        self.deliver = deliver
    }

    /// Sends once; `mayRepeat` says that the network may deliver it twice (a proxy may repeat only what is safe to).
    /// Returns whether it will.
    @discardableResult
    func send(_ message: Message, from: Endpoint, to: Endpoint, mayRepeat: Bool) -> Bool {
        let direction = Direction(from: from, to: to)
        let repeats = mayRepeat && strikes(.packetDuplicate, 1, in: 12)
        if let end = cutUntil[direction], world.now < end {
            world.faults.took(end.isMultiple(of: 2) ? .oneWayCut : .fullCut)
            return false
        }
        if strikes(.packetLoss, settings.lossPercent, in: 100) {
            world.faults.hit(.packetLoss)
            return false
        }
        carry(message, direction)
        if repeats {
            world.faults.hit(.packetDuplicate)
            carry(message, direction)
        }
        return repeats
    }

    private func carry(_ message: Message, _ direction: Direction) {
        var delay = settings.latency / 2 + random.below(settings.latency)
        if strikes(.packetDelay, 1, in: 20) {
            world.faults.hit(.packetDelay)
            delay += random.below(settings.longDelay)
        }
        if let end = clogUntil[direction], world.now < end {
            world.faults.took(.clog)
            delay += end - world.now
        }
        var arrival = world.now + delay
        if let last = lastArrival[direction], arrival < last {
            if strikes(.packetReorder, 1, in: 2) {
                world.faults.hit(.packetReorder)
            } else {
                arrival = last
            }
        }
        lastArrival[direction] = max(arrival, lastArrival[direction] ?? 0)
        world.schedule(after: arrival - world.now) { [deliver] in deliver(direction.to, message) }
    }

    private func strikes(_ fault: Fault, _ numerator: UInt64, in denominator: UInt64) -> Bool {
        let hit = random.chance(numerator, in: denominator)
        return hit && settings.faults.contains(fault) && !world.quiet
    }

    /// Nothing passes between the two for `span`; in one direction only where `oneWay`.
    func cut(_ one: Endpoint, _ other: Endpoint, oneWay: Bool, for span: UInt64) {
        world.faults.draw(oneWay ? .oneWayCut : .fullCut)
        // The parity of the end says which kind of cut it is.
        let end = (world.now + span) & ~1 | (oneWay ? 0 : 1)
        cutUntil[Direction(from: one, to: other)] = end
        if !oneWay { cutUntil[Direction(from: other, to: one)] = end }
    }

    func clog(_ from: Endpoint, _ to: Endpoint, for span: UInt64) {
        world.faults.draw(.clog)
        clogUntil[Direction(from: from, to: to)] = world.now + span
    }

    func heal() {
        cutUntil.removeAll()
        clogUntil.removeAll()
    }
}

/// How a network behaves for one seed.
struct NetworkSettings {
    var faults: FaultSet
    var latency: UInt64 = 300 * Span.microsecond
    /// What a delayed message may take on top.
    var longDelay: UInt64 = 4 * Span.second
    var lossPercent: UInt64 = 2
}
