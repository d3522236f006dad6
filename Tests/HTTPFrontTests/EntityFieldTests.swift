import Entities
import Primitives
import Testing

@testable import HTTPFront

/// Fields of entity requests and answers beside their tags: dates, codings, what browsers are told.
@Suite struct EntityFieldTests {
    private let date = "Sun, 06 Nov 1994 08:49:37 GMT"
    private let seconds: UInt64 = 784_111_777

    private func conditions(_ method: String, _ fields: [String]) throws -> Preconditions {
        let front = try FrontChannel()
        let length = method == "PUT" || method == "PATCH" ? ["Content-Length: 2"] : []
        let lines = ["\(method) /v1/entities/k/a HTTP/1.1", "Host: h"] + fields + length + ["", ""]
        try front.send(lines.joined(separator: "\r\n") + (length.isEmpty ? "" : "{}"))
        if let write = front.backend.writes.first { return write.preconditions }
        guard case .entity(let conditions)? = front.backend.reads.first?.kind else {
            throw Problem(.badRequest, "nothing came of \(lines)")
        }
        return conditions
    }

    @Test func datesAreConditions() throws {
        let modified = ["If-Modified-Since: \(date)"]
        let unmodified = ["If-Unmodified-Since: \(date)"]
        for method in ["GET", "HEAD"] {
            #expect(try conditions(method, modified) == Preconditions(ifModifiedSince: seconds))
        }
        let merge = "Content-Type: application/merge-patch+json"
        for method in ["PUT", "PATCH", "DELETE"] {
            #expect(try conditions(method, modified + [merge]) == .none, "\(method) asks for no change")
        }
        for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE"] {
            #expect(
                try conditions(method, unmodified + [merge]) == Preconditions(ifUnmodifiedSince: seconds))
        }
    }

    @Test func tagsGoOverDates() throws {
        let both = ["If-Modified-Since: \(date)", "If-Unmodified-Since: \(date)"]
        #expect(
            try conditions("GET", both + ["If-Match: *"])
                == Preconditions(ifMatch: .any, ifModifiedSince: seconds))
        #expect(
            try conditions("GET", both + ["If-None-Match: \"1\""])
                == Preconditions(ifNoneMatch: .versions([1]), ifUnmodifiedSince: seconds))
    }

    @Test(arguments: ["yesterday", "", "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT"])
    func whatIsNoDateIsNoCondition(value: String) throws {
        #expect(try conditions("GET", ["If-Modified-Since: \(value)", "If-Unmodified-Since: \(value)"]) == .none)
    }

    @Test func twoDatesAreNone() throws {
        let fields = ["If-Unmodified-Since: \(date)", "If-Unmodified-Since: \(date)"]
        #expect(try conditions("GET", fields) == .none)
    }

    // MARK: Codings

    private static let codings = [
        ("gzip", true), ("GZIP", true), ("identity, gzip", true), ("br", true), ("x", true), ("gzip;q=1", true),
        ("identity", false), ("Identity", false), ("identity, identity", false), ("", false), (" , ", false),
    ]

    @Test(arguments: codings)
    func codedBodiesAreRefused(coding: String, refused: Bool) throws {
        let field = "Content-Encoding: \(coding)"
        let merge = "Content-Type: application/merge-patch+json"
        for (line, body) in [
            ("PUT /v1/entities/k/a", "x"), ("PATCH /v1/entities/k/a", "{}"), ("DELETE /v1/entities/k/a", ""),
            ("POST /v1/batch", #"{"op":"put","key":"k/a","text":"x"}"#),
        ] {
            let front = try FrontChannel()
            front.backend.store("k/a", "{}")
            let response = try front.ask(EntityRouteTests.request(line, field, merge, body: body))
            #expect(response.status == (refused ? 415 : line.hasPrefix("POST") ? 200 : 204), "\(line) \(coding)")
            #expect(front.backend.writes.isEmpty == refused)
            guard refused else { continue }
            #expect(response.text.contains("unsupported-media-type") && response["Accept-Encoding"] == "identity")
            #expect((response["Keystead-Position"] == nil) == line.hasPrefix("POST"))
        }
    }

    @Test func codingsInSeveralFieldsCountTogether() throws {
        let request = EntityRouteTests.request(
            "PUT /v1/entities/k/a", "Content-Encoding: identity", "Content-Encoding: gzip", body: "x")
        #expect(try FrontChannel().ask(request).status == 415)
        let read = EntityRouteTests.request("GET /v1/entities/k/a", "Content-Encoding: gzip")
        #expect(try FrontChannel().ask(read).status == 404)
    }

    // MARK: What browsers are told

    @Test func browsersRunNothingOfAState() throws {
        let front = try FrontChannel()
        front.backend.store("k/a", "<script>", contentType: "text/html")
        let get = try front.ask(EntityRouteTests.request("GET /v1/entities/k/a"))
        let head = try front.ask(EntityRouteTests.request("HEAD /v1/entities/k/a"), toHead: true)
        let unchanged = try front.ask(EntityRouteTests.request("GET /v1/entities/k/a", "If-None-Match: *"))
        let patched = try front.ask(
            EntityRouteTests.request(
                "PATCH /v1/entities/k/a", "Content-Type: application/merge-patch+json",
                "Prefer: return=representation", body: "{}"))
        #expect([get, head, unchanged, patched].map(\.status) == [200, 200, 304, 200])
        for response in [get, head, unchanged, patched] {
            #expect(response["Content-Security-Policy"] == "sandbox")
            #expect(response["X-Content-Type-Options"] == "nosniff")
        }
    }
}
