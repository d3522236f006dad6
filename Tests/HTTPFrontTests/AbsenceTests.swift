import NIOCore
import NIOEmbedded
import Testing

@testable import HTTPFront

/// Callers that leave, or seem to, while a list is being made for them.
@Suite struct AbsenceTests {
    private func advance(_ front: FrontChannel, milliseconds: Int64) {
        front.channel.embeddedEventLoop.advanceTime(by: .milliseconds(milliseconds))
    }

    @Test func theBackendIsToldOfACallerThatLeaves() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send(ListTests.list("user") + ListTests.list("user"))
        #expect(front.backend.departures == 0)
        try front.channel.close().wait()
        #expect(front.backend.departures == 1)
    }

    @Test func itIsNotToldOfCallersWithoutLists() throws {
        let front = try FrontChannel()
        _ = try front.ask(ListTests.list("user"))
        front.backend.isHolding = true
        try front.send(EntityRouteTests.request("GET /v1/entities/user/a"))
        try front.channel.close().wait()
        #expect(front.backend.departures == 0)
    }

    /// A client that has shut its side and one that has closed look alike until something is sent.
    @Test func aCallerThatShutsItsSideIsAskedWhetherItIsThere() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send(ListTests.list("user"))
        front.endInput()
        advance(front, milliseconds: FrontLimits.absenceMilliseconds - 1)
        #expect(try front.takeFlushes().isEmpty)
        advance(front, milliseconds: 1)
        #expect(try front.takeResponses().map(\.status) == [100])
        advance(front, milliseconds: FrontLimits.absenceAgainMilliseconds)
        #expect(try front.takeResponses().map(\.status) == [100])
        front.release(0)
        #expect(try front.takeResponses().map(\.status) == [200], "who is still there gets the answer")
        advance(front, milliseconds: 10 * FrontLimits.absenceAgainMilliseconds)
        #expect(try front.takeFlushes().isEmpty)
    }

    @Test func aQuickAnswerNeedsNoQuestion() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send(ListTests.list("user"))
        front.endInput()
        front.release(0)
        advance(front, milliseconds: 10 * FrontLimits.absenceAgainMilliseconds)
        #expect(try front.takeResponses().map(\.status) == [200])
    }

    @Test func oldClientsAreNotAsked() throws {
        let front = try FrontChannel()
        front.backend.isHolding = true
        try front.send("GET /v1/entities/user HTTP/1.0\r\nHost: h\r\n\r\n")
        front.endInput()
        advance(front, milliseconds: 10 * FrontLimits.absenceAgainMilliseconds)
        #expect(try front.takeFlushes().isEmpty, "HTTP/1.0 knows no interim answers")
    }
}
