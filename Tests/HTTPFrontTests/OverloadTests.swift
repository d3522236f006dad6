import Entities
import Testing

@testable import HTTPFront

/// Writes that are refused before their bodies have come.
@Suite struct OverloadTests {
    private func overloaded() throws -> FrontChannel {
        let front = try FrontChannel()
        front.backend.overload = Problem(.overloaded, "enough for the moment")
        return front
    }

    @Test func aWriteIsRefusedByItsHead() throws {
        let front = try overloaded()
        let head = "PUT /v1/entities/user/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
        let refused = try front.ask(head)
        #expect(refused.status == 503 && refused.text.contains("overloaded") && refused["Retry-After"] != nil)
        #expect(refused["Keystead-Position"] != nil)
        // The body is dropped, and the connection goes on.
        front.backend.overload = nil
        try front.send("hello")
        #expect(try front.ask(EntityRouteTests.request("PUT /v1/entities/user/a", body: "again")).status == 204)
        #expect(front.backend.writes.count == 1)
    }

    @Test func aBodyThatWaitsToBeAskedForIsNot() throws {
        let front = try overloaded()
        let refused = try front.ask(
            "PUT /v1/entities/user/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        #expect(refused.status == 503)
        #expect(front.backend.writes.isEmpty)
    }

    @Test func readsAndWrongRequestsAreAnsweredAsEver() throws {
        let front = try overloaded()
        #expect(try front.ask(EntityRouteTests.request("GET /v1/entities/user/a")).status == 404)
        #expect(try front.ask(EntityRouteTests.request("PUT /v1/entities/user/a?ttl=0", body: "x")).status == 400)
    }
}
