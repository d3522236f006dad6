import Primitives
import Testing

@testable import ShardCore

@Suite struct MovePaceTests {
    private func time(_ milliseconds: UInt64) -> MonotonicTime { .zero.adding(milliseconds: milliseconds) }

    /// A pace after two seconds at so many calls a second, with a move that began at their end.
    private func pace(callsPerSecond: UInt64) -> MovePace {
        var pace = MovePace()
        for second in 0...2 as ClosedRange<UInt64> {
            pace.observe(calls: 7 + second * callsPerSecond, now: time(second * 1000))
        }
        pace.begun(now: time(2000))
        return pace
    }

    @Test func theFirstMoveWaitsForNothing() {
        var pace = MovePace()
        #expect(pace.nextBegin <= time(0))
        pace.observe(calls: 1_000_000, now: time(1))
        #expect(pace.nextBegin <= time(1), "the count at its first sight is no rate")
    }

    @Test func movesOfANodeInUseBeginApart() {
        let pace = pace(callsPerSecond: Limits.movePaceCallsPerSecond)
        #expect(pace.nextBegin == time(2000 + Limits.movePaceMilliseconds))
    }

    @Test func movesOfANodeNotInUseFollowEachOther() {
        #expect(pace(callsPerSecond: Limits.movePaceCallsPerSecond - 1).nextBegin <= time(2000))
        #expect(pace(callsPerSecond: 0).nextBegin <= time(2000))
    }

    @Test func callersOfTheOtherNodeAreSparedToo() {
        var pace = pace(callsPerSecond: 0)
        pace.spare(milliseconds: 300, now: time(2000))
        #expect(pace.nextBegin == time(2300))
        pace.spare(milliseconds: 0, now: time(2100))
        #expect(pace.nextBegin == time(2300), "another source without callers lifts nothing")
        pace.spare(milliseconds: .max, now: time(2200))
        #expect(pace.nextBegin == time(2200 + Limits.movePaceMilliseconds), "no word of another node holds longer")
        var used = self.pace(callsPerSecond: Limits.movePaceCallsPerSecond)
        used.spare(milliseconds: 1, now: time(2000))
        #expect(used.nextBegin == time(2000 + Limits.movePaceMilliseconds))
    }

    @Test func theRateIsThatOfTheLastWindow() {
        var pace = pace(callsPerSecond: 10_000)
        pace.observe(calls: 20_007, now: time(2100))
        #expect(pace.nextBegin > time(2000), "a window is not over after a moment")
        pace.observe(calls: 20_007, now: time(4000))
        #expect(pace.nextBegin <= time(2000), "the callers have gone")
        pace.observe(calls: 30_007, now: time(5000))
        #expect(pace.nextBegin > time(2000), "and come back")
    }
}
