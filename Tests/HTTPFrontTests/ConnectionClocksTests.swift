import NIOCore
import Primitives
import Testing

@testable import HTTPFront

/// Deadlines that a client has missed, and those that only this process has slept through.
@Suite struct ConnectionClocksTests {
    private let start = NIODeadline.uptimeNanoseconds(1_000_000_000_000)

    private func clocks(tickingUntil seconds: Int64, _ change: (inout ConnectionClocks) -> Void) -> ConnectionClocks {
        var clocks = ConnectionClocks(now: start)
        change(&clocks)
        for second in stride(from: 5, through: seconds, by: 5) { clocks.ticked(start + .seconds(second)) }
        return clocks
    }

    @Test func timersThatComeInTimeExcuseNothing() {
        let clocks = clocks(tickingUntil: 30) { clocks in
            clocks.waitsForHead(start)
            clocks.wrote(100)
            clocks.looked(atUnsentBytes: 100, start)
        }
        #expect(clocks.headDeadline == start + .seconds(Int64(Limits.headerSecondsMax)))
        #expect(clocks.stallDeadline == start + .seconds(Int64(Limits.responseStallSecondsMax)))
        #expect(clocks.idleDeadline == start + .seconds(Int64(Limits.idleSecondsMax)))
    }

    @Test func aSleepOfTheProcessIsNotTheClients() {
        var clocks = clocks(tickingUntil: 5) { clocks in
            clocks.waitsForHead(start)
            clocks.bodyBegins(start)
            clocks.lingers(start)
            clocks.wrote(100)
            clocks.looked(atUnsentBytes: 100, start)
        }
        let late = TimeAmount.seconds(55)
        let now = start + .seconds(65)
        clocks.ticked(now)
        #expect(clocks.headDeadline == start + late + .seconds(Int64(Limits.headerSecondsMax)))
        #expect(clocks.stallDeadline == start + late + .seconds(Int64(Limits.responseStallSecondsMax)))
        #expect(clocks.lingerDeadline == start + late + .seconds(Int64(FrontLimits.lingerSecondsMax)))
        #expect(clocks.idleDeadline == start + late + .seconds(Int64(Limits.idleSecondsMax)))
        #expect(clocks.bodyDeadline == now + .seconds(Int64(Limits.bodyGraceSeconds)))
    }
}
