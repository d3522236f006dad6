/// Which of a loop's lines are to come to their turn, and that no turn runs inside another.
struct TurnOrder {
    private var touched: [Int] = []
    private var nextIndex = 0
    private(set) var isUnderWay = false

    /// The line comes to its turn behind those that were touched before it, in the turn under way or the next.
    mutating func touch(_ line: Int) { touched.append(line) }

    /// Traps inside another turn: what that has begun is not finished.
    mutating func begin() {
        precondition(!isUnderWay, "no turn runs inside another")
        isUnderWay = true
    }

    /// The next line that was touched.
    mutating func next() -> Int? {
        guard nextIndex < touched.count else {
            touched.removeAll(keepingCapacity: true)
            nextIndex = 0
            return nil
        }
        defer { nextIndex += 1 }
        return touched[nextIndex]
    }

    mutating func end() { isUnderWay = false }
}
