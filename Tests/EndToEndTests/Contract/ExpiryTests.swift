import Foundation
import Testing

extension Contract {
    @Suite struct ExpiryTests {
        let kind = SharedNode.freshKind()

        @Test func anExpiredEntityReadsAsAbsent() throws {
            let client = try SharedNode.client()
            let written = try client.put("\(kind)/a", "{}", query: "?ttl=2")
            expectWritten(written)
            try client.put("\(kind)/patched", "{}", query: "?ttl=2")
            try client.patch("\(kind)/patched", .merge, #"{"kept":true}"#)
            try client.put("\(kind)/cleared", "{}", query: "?ttl=2")
            try client.put("\(kind)/cleared", "{}")
            try client.put("\(kind)/long", "{}", query: "?ttl=315360000")
            expectFound(try client.get("\(kind)/a"), "{}")
            // A second late at most.
            let expired = try eventually(within: 3.5) { try client.get("\(kind)/a").status == 404 }
            #expect(expired, "ttl=2 still read after 3.5 s")
            let patched = try eventually(within: 2) { try client.get("\(kind)/patched").status == 404 }
            #expect(patched, "a patch keeps the expiry")
            expectFound(try client.get("\(kind)/cleared"), "{}")
            expectFound(try client.get("\(kind)/long"), "{}")
            expectProblem(try client.delete("\(kind)/a"), "not-found", positioned: true)
            expectProblem(try client.put("\(kind)/a", "x", [("If-Match", "*")]), "precondition-failed")
            #expect(try client.listAll(kind).count == 2)
            let again = try client.put("\(kind)/a", "x", [("If-None-Match", "*")])
            expectWritten(again)
            #expect(try #require(again.version64) > #require(written.version64))
        }

        @Test func aTimeToLiveIsNotOverEarly() throws {
            let client = try SharedNode.client()
            let start = ContinuousClock.now
            try client.put("\(kind)/b", "x", query: "?ttl=3")
            while ContinuousClock.now - start < .seconds(2) {
                let status = try client.get("\(kind)/b").status
                if ContinuousClock.now - start < .milliseconds(2900) { #expect(status == 200) }
                usleep(100_000)
            }
        }

        @Test(arguments: ["0", "-1", "315360001", "1.5", "abc", "", "1s", "99999999999999999999", "+1", "0x10"])
        func badTimesAreRefused(ttl: String) throws {
            let answer = try SharedNode.client().put("\(kind)/bad", "x", query: "?ttl=\(ttl)")
            expectProblem(answer, "bad-request", positioned: true)
        }
    }
}
