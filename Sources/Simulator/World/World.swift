import Primitives

/// Virtual time: one thread, one seed, one queue of events ordered by (time, sequence). Nothing in a simulation happens
/// but by an event of this queue, so a seed replays to the last byte.
///
/// Confined to the thread that runs its ``Simulation``.
final class World {
    /// Virtual nanoseconds since the simulation began.
    private(set) var now: UInt64 = 0
    /// Events run so far; it numbers moments more finely than time does.
    private(set) var step: UInt64 = 0
    private var queue = EventQueue()
    private var nextSequence: UInt64 = 0

    let trace: Trace
    let faults: FaultLedger
    let probes: Probes
    private(set) var violation: Violation?
    /// A run with more events than this has lost itself; long ones have a tenth.
    private static let eventsMax: UInt64 = 3_000_000
    /// The liveness phase: nothing new goes wrong.
    var quiet = false

    init(traceLinesMax: Int) {
        trace = Trace(linesMax: traceLinesMax)
        faults = FaultLedger()
        probes = Probes()
    }

    /// Runs `body` `delay` virtual nanoseconds from now, after everything already due then.
    func schedule(after delay: UInt64, _ body: @escaping () -> Void) {
        queue.push(Event(time: now &+ delay, sequence: nextSequence, body: body))
        nextSequence += 1
    }

    /// Runs the next event. False: there is none, or a check has failed and the simulation is over.
    func runNext() -> Bool {
        guard violation == nil, let event = queue.pop() else { return false }
        precondition(event.time >= now, "virtual time never goes back")
        now = event.time
        step += 1
        if step > Self.eventsMax { fail(.liveness, "more than \(Self.eventsMax) events: nothing comes to an end") }
        event.body()
        return true
    }

    /// The simulation is over: what was still to happen is forgotten, and with it whom it would have happened to.
    func forgetEvents() { queue = EventQueue() }

    /// Ends the simulation: `checker` has seen what must not be. The first violation stays.
    func fail(_ checker: Checker, _ detail: @autoclosure () -> String) {
        guard violation == nil else { return }
        let text = detail()
        violation = Violation(checker: checker, detail: text, time: now, step: step)
        trace.note(now, .violation, UInt64(checker.rawValue)) { "VIOLATION \(checker.name): \(text)" }
    }

    /// A moment as checkers count it: later notes have larger numbers, also within one event.
    func tick() -> UInt64 {
        defer { moments += 1 }
        return moments
    }

    private var moments: UInt64 = 1
}

/// Virtual time in units that read well.
enum Span {
    static let microsecond: UInt64 = 1_000
    static let millisecond: UInt64 = 1_000_000
    static let second: UInt64 = 1_000_000_000
}

/// One thing that will happen.
private struct Event {
    let time: UInt64
    let sequence: UInt64
    let body: () -> Void

    static func < (left: Event, right: Event) -> Bool {
        left.time != right.time ? left.time < right.time : left.sequence < right.sequence
    }
}

/// A binary heap of events.
private struct EventQueue {
    private var heap: [Event] = []

    mutating func push(_ event: Event) {
        heap.append(event)
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child] < heap[parent] else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    mutating func pop() -> Event? {
        guard !heap.isEmpty else { return nil }
        heap.swapAt(0, heap.count - 1)
        let first = heap.removeLast()
        var parent = 0
        while true {
            var smallest = 2 * parent + 1
            guard smallest < heap.count else { return first }
            if smallest + 1 < heap.count, heap[smallest + 1] < heap[smallest] { smallest += 1 }
            guard heap[smallest] < heap[parent] else { return first }
            heap.swapAt(smallest, parent)
            parent = smallest
        }
    }
}
