import Primitives
import Testing

private let second: UInt64 = 1_000_000_000
private let day: UInt64 = 86_400_000
private let start = MonotonicTime(nanoseconds: 50 * second)
private let newest = Timestamp(milliseconds: 1_800_000_000_000)

private func after(_ seconds: UInt64) -> MonotonicTime { start.adding(nanoseconds: seconds * second) }

/// What has expired is removed for good only when nobody can come and repair the clock any more.
@Suite struct RemovalTests {
    private func clock(wall: Timestamp, floor: Timestamp = newest) -> SteadyClock {
        SteadyClock(wall: wall, monotonic: start, floor: floor)
    }

    @Test func nothingIsRemovedInTheFirstTenMinutes() {
        let ahead = newest.adding(milliseconds: 365 * day)
        let clock = clock(wall: ahead)
        #expect(clock.now(start) == ahead, "readers go by the clock at once")
        for seconds: UInt64 in [0, 1, 60, 599] { #expect(clock.removalTime(after(seconds)) == .zero) }
        #expect(clock.removalTime(after(600)) == ahead.adding(seconds: 600 - Limits.removalLagSeconds))
    }

    /// A second start finds data that the first one has written: by it the clock has not jumped any more.
    @Test func everyStartWaitsAnew() {
        let clock = clock(wall: newest.adding(milliseconds: 1))
        #expect(clock.removalTime(after(599)) == .zero && clock.removalTime(after(600)) > newest)
    }

    @Test func aJumpOfAnotherOwnerBeginsAWait() {
        var clock = clock(wall: newest)
        clock.advance(atLeastTo: clock.now(after(700)).adding(milliseconds: day), monotonic: after(700))
        #expect(clock.removalTime(after(700)) > newest, "a day is no jump")
        let far = clock.now(after(800)).adding(milliseconds: day + 1)
        clock.advance(atLeastTo: far, monotonic: after(800))
        #expect(clock.now(after(800)) == far)
        #expect(clock.removalTime(after(1399)) == .zero && clock.removalTime(after(1400)) > far)
    }

    @Test func aMachineThatSleptBeginsAWait() {
        var clock = clock(wall: newest)
        for seconds in stride(from: UInt64(0), through: 700, by: 100) { clock.observe(after(seconds)) }
        #expect(clock.removalTime(after(700)) > newest)
        let awake = 700 + 86_401
        clock.observe(after(UInt64(awake)))
        #expect(clock.now(after(UInt64(awake))) == newest.adding(seconds: UInt64(awake)), "the time has passed")
        #expect(clock.removalTime(after(UInt64(awake) + 599)) == .zero)
        #expect(clock.removalTime(after(UInt64(awake) + 600)) > newest)
    }

    @Test func behindTheDataNothingGoesBack() {
        for wall in [Timestamp.zero, newest.before(seconds: 1), newest.before(seconds: 60 * 365 * 86_400)] {
            let clock = clock(wall: wall)
            #expect(clock.now(start) == newest && clock.now(after(5)) == newest.adding(seconds: 5))
        }
    }

    /// Whatever clocks say, nothing traps and time does not run backwards.
    @Test func noValueTraps() {
        let values: [UInt64] = [0, 1, 999, 1_800_000_000_000, 253_402_300_799_999, .max / 2, .max - 1, .max]
        for wall in values {
            for floor in values {
                for monotonic in values {
                    let first = MonotonicTime(nanoseconds: monotonic)
                    var clock = SteadyClock(
                        wall: Timestamp(milliseconds: wall), monotonic: first, floor: Timestamp(milliseconds: floor))
                    let before = clock.now(first)
                    for seen in values {
                        clock.advance(atLeastTo: Timestamp(milliseconds: seen), monotonic: first)
                        clock.observe(MonotonicTime(nanoseconds: seen))
                        _ = clock.removalTime(MonotonicTime(nanoseconds: seen))
                    }
                    #expect(clock.now(first) >= before)
                    let (one, other) = (Timestamp(milliseconds: wall), Timestamp(milliseconds: floor))
                    _ = (ClockAtStart(wall: one, newest: other), ClockGap(wall: one, now: other))
                }
            }
        }
    }
}

@Suite struct ClockAtStartTests {
    @Test func withoutDataEveryClockWillDo() {
        for wall: UInt64 in [0, 1_800_000_000_000, .max] {
            #expect(ClockAtStart(wall: Timestamp(milliseconds: wall), newest: .zero) == .plausible)
        }
    }

    @Test func theEdges() {
        func verdict(ahead: UInt64) -> ClockAtStart {
            ClockAtStart(wall: newest.adding(milliseconds: ahead), newest: newest)
        }
        #expect(verdict(ahead: 0) == .plausible && verdict(ahead: day) == .plausible)
        #expect(verdict(ahead: day + 1) == .ahead(milliseconds: day + 1))
        #expect(verdict(ahead: 366 * day) == .ahead(milliseconds: 366 * day), "data may rest for a year")
        #expect(verdict(ahead: 366 * day + 1) == .implausible(milliseconds: 366 * day + 1))
        #expect(ClockAtStart(wall: newest.before(seconds: 60), newest: newest) == .plausible)
        #expect(ClockAtStart(wall: newest.before(seconds: 61), newest: newest) == .behind(milliseconds: 61_000))
    }
}

@Suite struct ClockGapTests {
    @Test func aMinuteIsNoGap() {
        #expect(ClockGap(wall: newest, now: newest.adding(seconds: 60)) == .none)
        #expect(ClockGap(wall: newest, now: newest.adding(milliseconds: 60_001)) == .wallBehind(milliseconds: 60_001))
        #expect(ClockGap(wall: newest.adding(milliseconds: 60_001), now: newest) == .wallAhead(milliseconds: 60_001))
    }

    @Test func onlyNewsIsTold() {
        var watch = ClockGapWatch()
        #expect(watch.look(.none) == nil)
        #expect(watch.look(.wallAhead(milliseconds: 61_000)) == .wallAhead(milliseconds: 61_000))
        #expect(watch.look(.wallAhead(milliseconds: 90_000)) == nil)
        #expect(watch.look(.wallBehind(milliseconds: 90_000)) == .wallBehind(milliseconds: 90_000))
        #expect(watch.look(.none) == ClockGap.none && watch.look(.none) == nil)
    }
}

@Suite struct SecretTests {
    private struct Holder {
        let user = "u"
        let password = Secret("canary")
    }

    @Test func noTextShowsIt() {
        let holder = Holder()
        var dumped = ""
        dump(holder, to: &dumped)
        dump(holder.password, to: &dumped)
        let texts = ["\(holder)", "\(holder.password)", String(reflecting: holder), dumped, "\([holder.password])"]
        for text in texts { #expect(!text.contains("canary"), "\(text)") }
        #expect(holder.password.revealed() == "canary" && holder.password == Secret("canary"))
        #expect(Secret.none.isEmpty && holder.password != .none)
    }
}
