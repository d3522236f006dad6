import Testing

@testable import NodeRuntime

@Suite struct TurnOrderTests {
    @Test func whatATurnTouchesComesBehindTheOthers() {
        var order = TurnOrder()
        order.touch(3)
        order.touch(1)
        order.begin()
        var seen: [Int] = []
        while let line = order.next() {
            seen.append(line)
            if line == 3, seen.count == 1 { order.touch(3) }
        }
        #expect(seen == [3, 1, 3] && order.isUnderWay)
        order.end()
        order.touch(2)
        order.begin()
        let (first, second) = (order.next(), order.next())
        #expect(first == 2 && second == nil)
    }

    @Test func noTurnRunsInsideAnother() async {
        await #expect(processExitsWith: .failure) {
            var order = TurnOrder()
            order.begin()
            order.begin()
        }
    }
}
