/// How many rows one loop fetches from the disk at once, since each is as large as an entity, and the shards that wait
/// for their turn.
struct FetchSlots {
    private let max: Int
    private var inFlight = 0
    private var waiting: [Int] = []

    /// - Parameter max: at least one.
    init(max: Int) {
        precondition(max > 0, "a loop fetches")
        self.max = max
    }

    var isFull: Bool { inFlight >= max }

    mutating func begin() {
        precondition(!isFull, "no more fetches are under way than may be")
        inFlight += 1
    }

    mutating func end() {
        precondition(inFlight > 0, "a fetch ends once")
        inFlight -= 1
    }

    /// The shard wants rows and found no room.
    mutating func wait(_ shard: Int) { waiting.append(shard) }

    /// The shard whose turn it is, where there is room; it waits no longer.
    mutating func next() -> Int? { isFull || waiting.isEmpty ? nil : waiting.removeFirst() }
}
