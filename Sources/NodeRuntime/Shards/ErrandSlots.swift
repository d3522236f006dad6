/// How many errands of one kind a loop has under way at once, since each holds as much as an entity or more, and the
/// shards that wait for their turn.
struct ErrandSlots {
    private let max: Int
    private var inFlight = 0
    private var waiting: [Int] = []

    /// - Parameter max: at least one.
    init(max: Int) {
        precondition(max > 0, "a loop has errands")
        self.max = max
    }

    var isFull: Bool { inFlight >= max }

    mutating func begin() {
        precondition(!isFull, "no more errands are under way than may be")
        inFlight += 1
    }

    mutating func end() {
        precondition(inFlight > 0, "an errand ends once")
        inFlight -= 1
    }

    /// The shard has an errand and found no room.
    mutating func wait(_ shard: Int) { waiting.append(shard) }

    /// The shard whose turn it is, where there is room; it waits no longer.
    mutating func next() -> Int? { isFull || waiting.isEmpty ? nil : waiting.removeFirst() }
}
