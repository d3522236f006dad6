import Primitives
import Testing

@testable import ShardCore

@Suite struct ListQueueTests {
    private func time(_ seconds: UInt64) -> MonotonicTime { .zero.adding(nanoseconds: seconds * 1_000_000_000) }

    /// Takes lists 1, 2, … of these callers in, in this order.
    private func queue(
        _ callers: [UInt64], underWayMax: Int = 2, waitingMax: Int = 8
    ) -> ListQueue {
        var queue = ListQueue(underWayMax: underWayMax, waitingMax: waitingMax, waitSecondsMax: 10)
        for (index, caller) in callers.enumerated() {
            let (admission, shed) = queue.admit(UInt64(index + 1), of: caller, now: time(0))
            #expect(admission == .admitted && shed == nil)
        }
        return queue
    }

    private func begin(_ queue: inout ListQueue) -> [ListTicket] {
        var begun: [ListTicket] = []
        while let ticket = queue.nextToBegin() { begun.append(ticket) }
        return begun
    }

    @Test func aCallerHasOneListUnderWay() {
        var queue = queue([7, 7, 7])
        #expect(begin(&queue) == [1])
        queue.ended(1)
        #expect(begin(&queue) == [2])
        #expect(queue.waitingCount == 1 && queue.underWayCount == 1)
    }

    @Test func noMoreThanTheBoundAreUnderWay() {
        var queue = queue([1, 2, 3, 4])
        #expect(begin(&queue) == [1, 2])
        queue.ended(2)
        #expect(begin(&queue) == [3])
    }

    /// Whoever asks for one list waits for no more than one list of each of the others.
    @Test func callersTakeTurns() {
        var queue = queue([1, 1, 1, 2, 2, 3], underWayMax: 1)
        var order: [ListTicket] = []
        while let next = queue.nextToBegin() {
            order.append(next)
            queue.ended(next)
        }
        #expect(order == [1, 4, 6, 2, 5, 3])
    }

    /// Who has had a turn, and asks for more, comes behind whoever has had none.
    @Test func aNewCallerDoesNotWaitForTheRestOfOthers() {
        var queue = queue([1, 1, 1, 2, 2], underWayMax: 1)
        #expect(queue.nextToBegin() == 1)
        _ = queue.admit(6, of: 3, now: time(0))
        _ = queue.admit(7, of: 4, now: time(0))
        queue.ended(1)
        var order: [ListTicket] = []
        while let next = queue.nextToBegin() {
            order.append(next)
            queue.ended(next)
        }
        #expect(order == [4, 6, 7, 2, 5, 3])
    }

    @Test func aFullQueueRefusesWhoHasTheMost() {
        var queue = queue([1, 1, 1, 1], underWayMax: 1, waitingMax: 4)
        let own = queue.admit(9, of: 1, now: time(0))
        #expect(own.admission == .refused && own.shed == nil)
        let other = queue.admit(10, of: 2, now: time(0))
        #expect(other.admission == .admitted && other.shed == 4, "the newest of the longest line makes room")
        let again = queue.admit(11, of: 2, now: time(0))
        #expect(again.admission == .admitted && again.shed == 3)
        let last = queue.admit(12, of: 2, now: time(0))
        #expect(last.admission == .refused && last.shed == nil, "two against two: nobody would be better off")
        #expect(queue.waitingCount == 4)
    }

    @Test func whoLeavesTakesNothingAlong() {
        var queue = queue([1, 1, 2, 1])
        #expect(begin(&queue) == [1, 3])
        #expect(queue.leave(1) == ListQueue.Left(waiting: [2, 4], underWay: [1]))
        #expect(queue.waitingCount == 0 && queue.underWayCount == 1)
        queue.ended(1)
        #expect(queue.underWayCount == 1, "the end of a list that was left is nobody else's")
        #expect(queue.leave(1) == ListQueue.Left())
    }

    @Test func whatWaitsForTooLongIsTakenOut() {
        var queue = queue([1, 1, 2], underWayMax: 1)
        #expect(begin(&queue) == [1])
        _ = queue.admit(4, of: 2, now: time(5))
        #expect(queue.expire(now: time(9)).isEmpty)
        #expect(Set(queue.expire(now: time(10))) == [2, 3])
        #expect(queue.expire(now: time(15)) == [4])
        #expect(queue.waitingCount == 0 && queue.underWayCount == 1)
    }

    @Test func aClosedQueueHoldsNothing() {
        var queue = queue([1, 1, 2])
        #expect(begin(&queue) == [1, 3])
        #expect(queue.close() == ListQueue.Left(waiting: [2], underWay: [1, 3]))
        #expect(queue.admit(5, of: 3, now: time(0)).admission == .closed)
        #expect(queue.nextToBegin() == nil && queue.waitingCount == 0 && queue.underWayCount == 0)
    }

    /// Whatever happens in whatever order: the bounds hold, and each list that was admitted comes out once.
    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func everyListComesOutOnce(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var queue = ListQueue(underWayMax: 3, waitingMax: 12, waitSecondsMax: 10)
        var waiting: [ListTicket: UInt64] = [:]
        var underWay: [ListTicket: UInt64] = [:]
        for step in 0..<2000 as Range<UInt64> {
            let now = time(step)
            switch generator.below(10 as UInt64) {
            case 0..<5:
                let caller = generator.below(6 as UInt64)
                let (admission, shed) = queue.admit(step, of: caller, now: now)
                if let shed { #expect(waiting.removeValue(forKey: shed) != nil) }
                if admission == .admitted { waiting[step] = caller }
            case 5..<8:
                guard let ended = underWay.keys.min() else { continue }
                queue.ended(ended)
                underWay[ended] = nil
            case 8:
                let caller = generator.below(6 as UInt64)
                let left = queue.leave(caller)
                #expect(Set(left.waiting) == Set(waiting.filter { $0.value == caller }.keys))
                #expect(Set(left.underWay) == Set(underWay.filter { $0.value == caller }.keys))
                waiting = waiting.filter { $0.value != caller }
                underWay = underWay.filter { $0.value != caller }
            default:
                for ticket in queue.expire(now: now) {
                    #expect(now.nanoseconds(since: time(ticket)) >= 10_000_000_000)
                    #expect(waiting.removeValue(forKey: ticket) != nil)
                }
            }
            for ticket in begin(&queue) {
                let caller = waiting.removeValue(forKey: ticket)
                #expect(caller != nil && !underWay.values.contains(caller ?? 0))
                underWay[ticket] = caller
            }
            #expect(queue.waitingCount == waiting.count && waiting.count <= 12)
            #expect(queue.underWayCount == underWay.count && underWay.count <= 3)
        }
        let left = queue.close()
        #expect(Set(left.waiting) == Set(waiting.keys) && Set(left.underWay) == Set(underWay.keys))
    }
}
