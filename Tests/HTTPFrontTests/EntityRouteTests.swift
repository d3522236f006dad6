import Entities
import NIOCore
import Primitives
import Testing

@testable import HTTPFront

/// The routes of one entity: what reaches the backend, and what is answered.
@Suite struct EntityRouteTests {
    static func request(_ line: String, _ fields: String..., body: String? = nil) -> String {
        var text = "\(line) HTTP/1.1\r\nHost: h\r\n"
        for field in fields { text += field + "\r\n" }
        if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
        return text + "\r\n" + (body ?? "")
    }

    /// The admin tool pointed at the wrong listener hears so.
    @Test func adminPathsAreToldWhereTheyBelong() throws {
        for path in ["/v1/cluster", "/v1/admin/rebalance/plan", "/metrics"] {
            let response = try FrontChannel().ask("GET \(path) HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(response.status == 404 && response.text.contains("ask its admin listener"))
        }
    }

    @Test func putThenGet() throws {
        let front = try FrontChannel()
        let put = try front.ask(
            Self.request("PUT /v1/entities/user/a%2Fb?ttl=5", "Content-Type: text/plain", body: "hello"))
        #expect(put.status == 204)
        #expect(put["ETag"] == "\"101\"")
        #expect(put["Keystead-Position"] == "3:101")
        #expect(put["Content-Length"] == nil)
        #expect(put["Connection"] == nil)
        guard case .put(let state, let contentType, let ttlSeconds) = front.backend.writes[0].action else {
            Issue.record("a put was expected")
            return
        }
        #expect(state == Array("hello".utf8))
        #expect(contentType == Array("text/plain".utf8))
        #expect(ttlSeconds == 5)

        let get = try front.ask(Self.request("GET /v1/entities/user/a/b"))
        #expect(get.status == 200)
        #expect(get.text == "hello")
        #expect(get["Content-Type"] == "text/plain")
        #expect(get["Content-Length"] == "5")
        #expect(get["ETag"] == "\"101\"")
        #expect(get["Last-Modified"] == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(get["Date"] == "Sun, 06 Nov 1994 08:49:37 GMT")
        #expect(get["X-Content-Type-Options"] == "nosniff")
        #expect(get["Keystead-Position"] == "3:101")
    }

    /// What an older version took for a content type ends no field, and no head.
    @Test func aStoredContentTypeSplitsNoAnswer() throws {
        let front = try FrontChannel()
        front.backend.store("user/a", "hello", contentType: "text/html\r\nSet-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK")
        let get = try front.ask(Self.request("GET /v1/entities/user/a"))
        #expect(get.status == 200 && get.text == "hello" && get["Set-Cookie"] == nil)
        #expect(get["Content-Type"] == "application/octet-stream")
        let head = try front.ask(Self.request("HEAD /v1/entities/user/a"), toHead: true)
        #expect(head["Content-Type"] == "application/octet-stream" && head["Content-Length"] == "5")
    }

    @Test func headHasNoBody() throws {
        let front = try FrontChannel()
        front.backend.store("user/a", "hello")
        let head = try front.ask(Self.request("HEAD /v1/entities/user/a"), toHead: true)
        #expect(head.status == 200)
        #expect(head["Content-Length"] == "5")
        #expect(head["Content-Type"] == "application/octet-stream")
        let absent = try front.ask(Self.request("HEAD /v1/entities/user/b"), toHead: true)
        #expect(absent.status == 404)
        #expect(try #require(absent["Content-Length"].flatMap { Int($0) }) > 0)
    }

    @Test func emptyStates() throws {
        let front = try FrontChannel()
        #expect(try front.ask(Self.request("PUT /v1/entities/user/a", body: "")).status == 204)
        let get = try front.ask(Self.request("GET /v1/entities/user/a"))
        #expect(get.status == 200)
        #expect(get["Content-Length"] == "0")
    }

    @Test func chunkedPut() throws {
        let front = try FrontChannel()
        let head = Self.request("PUT /v1/entities/user/a", "Transfer-Encoding: chunked")
        for piece in [head, "3\r\nab", "c\r\n2\r\nde\r", "\n0\r\n"] {
            try front.send(piece)
            #expect(try front.takeResponses().isEmpty)
        }
        #expect(try front.ask("\r\n").status == 204)
        #expect(try front.ask(Self.request("GET /v1/entities/user/a")).text == "abcde")
    }

    @Test func patches() throws {
        let front = try FrontChannel()
        let kinds: [(String, PatchKind)] = [
            ("application/merge-patch+json", .merge), ("Application/JSON-Patch+JSON; charset=utf-8", .jsonPatch),
            ("application/vnd.keystead.update+json;x=y", .update),
        ]
        for (contentType, kind) in kinds {
            let response = try front.ask(
                Self.request("PATCH /v1/entities/user/a", "Content-Type: \(contentType)", body: "{}"))
            #expect(response.status == 204)
            guard case .patch(let got, let document) = front.backend.writes.last?.action else {
                Issue.record("a patch was expected")
                return
            }
            #expect(got == kind)
            #expect(document == Array("{}".utf8))
        }
        let shown = try front.ask(
            Self.request(
                "PATCH /v1/entities/user/a", "Content-Type: application/merge-patch+json",
                "Prefer: respond-async, Return=Representation; x=y", body: "{\"a\":1}"))
        #expect(shown.status == 200)
        #expect(shown.text == "{\"a\":1}")
        #expect(shown["Content-Type"] == "application/json")
        #expect(shown["ETag"] == "\"104\"")
    }

    @Test func preconditionsReachTheBackend() throws {
        let front = try FrontChannel()
        front.backend.store("user/a", "x")
        let createOnly = Self.request("PUT /v1/entities/user/a", "If-None-Match: *", body: "y")
        let refused = try front.ask(createOnly)
        #expect(refused.status == 412)
        #expect(refused["ETag"] == "\"101\"")
        #expect(refused["Keystead-Position"] == "3:101")
        let conditional = Self.request(
            "DELETE /v1/entities/user/a", "If-Match: \"7\", \"abc\"", "If-Match: ,\"101\"")
        #expect(try front.ask(conditional).status == 204)
        #expect(front.backend.writes.last?.preconditions.ifMatch == .versions([7, 101]))
        front.backend.store("user/a", "x")
        let unchanged = try front.ask(Self.request("GET /v1/entities/user/a", "If-None-Match: *"))
        #expect(unchanged.status == 304)
        #expect(unchanged["ETag"] == "\"103\"")
        #expect(unchanged["Content-Length"] == nil)
    }

    @Test func replaysSaySo() throws {
        let front = try FrontChannel()
        let put = Self.request("PUT /v1/entities/user/a", "Idempotency-Key: k", body: "x")
        #expect(try front.ask(put)["Idempotency-Replayed"] == nil)
        let again = try front.ask(put)
        #expect(again.status == 204)
        #expect(again["Idempotency-Replayed"] == "true")

        let outcome = try front.ask(Self.request("GET /v1/outcomes/user/a", "Idempotency-Key: k"))
        #expect(outcome.status == 200)
        #expect(outcome.text == "{\"status\":204,\"etag\":\"\\\"101\\\"\"}")
        #expect(outcome["Content-Type"] == "application/json")
        #expect(outcome["Keystead-Position"] == "3:101")
        #expect(try front.ask(Self.request("GET /v1/outcomes/user/a", "Idempotency-Key: l")).status == 404)
    }

    @Test func deletes() throws {
        let front = try FrontChannel()
        front.backend.store("user/a", "x")
        let response = try front.ask(Self.request("DELETE /v1/entities/user/a"))
        #expect(response.status == 204)
        #expect(response["ETag"] == "\"102\"")
        let again = try front.ask(Self.request("DELETE /v1/entities/user/a"))
        #expect(again.status == 404)
        #expect(again["ETag"] == nil)
        #expect(again["Keystead-Position"] == "3:102")
    }

    struct Refused: CustomTestStringConvertible {
        let request: String
        let code: ProblemCode
        var hasPosition = false
        var allow: String?
        var closes = false

        var testDescription: String { String(request.prefix(120)) }

        init(
            _ request: String, _ code: ProblemCode, position: Bool = false, allow: String? = nil, closes: Bool = false
        ) {
            self.request = request
            self.code = code
            hasPosition = position
            self.allow = allow
            self.closes = closes
        }
    }

    static let entityMethods = "GET, HEAD, PUT, PATCH, DELETE"
    static let long = String(repeating: "a", count: 256)

    static let refused: [Refused] = [
        Refused(request("GET /"), .notFound),
        Refused(request("PUT /v1/entities", body: "x"), .notFound),
        Refused(request("GET /v1/%65ntities/user/a"), .notFound),
        Refused(request("GET /v1//entities/user/a"), .notFound),
        Refused(request("GET /V1/entities/user/a"), .notFound),
        Refused(request("GET /v1/entities/user/"), .badKey),
        Refused(request("GET /v1/entities/User/a"), .badKey),
        Refused(request("GET /v1/entities/user/../a"), .badKey),
        Refused(request("GET /v1/entities/user/%00"), .badKey),
        Refused(request("GET /v1/entities/user/%zz"), .badKey),
        Refused(request("BREW /v1/entities/user/%zz"), .badKey),
        Refused(request("GET /v1/entities/User"), .badKey),
        Refused(request("GET /v1/entities/u%73er"), .badKey),
        Refused(request("GET /v1/entities/"), .badKey),
        Refused(request("GET /v1/outcomes/user", "Idempotency-Key: k"), .badKey),
        Refused(request("BREW /v1/entities/user/a"), .methodNotAllowed, allow: entityMethods),
        Refused(request("get /v1/entities/user/a"), .methodNotAllowed, allow: entityMethods),
        Refused(request("POST /v1/entities/user/a", body: "x"), .methodNotAllowed, allow: entityMethods),
        Refused(request("POST /v1/entities/user", body: "x"), .methodNotAllowed, allow: "GET"),
        Refused(request("PUT /v1/outcomes/user/a", body: "x"), .methodNotAllowed, allow: "GET"),
        Refused(request("GET /v1/batch"), .methodNotAllowed, allow: "POST"),
        Refused(request("OPTIONS *"), .methodNotAllowed, allow: entityMethods + ", POST"),
        Refused(request("GET /v1/entities/user/a?x=1"), .badRequest, position: true),
        Refused(request("GET /v1/entities/user/a?ttl=1"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a?ttl=0", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a?ttl=315360001", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a?ttl=1.5", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a?ttl=", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a?ttl=1&ttl=1", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a?tt%zz=1", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a", "Content-Type: \(long)", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a", "Content-Type: a\tb", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a", "Content-Type: é", body: "x"), .badRequest, position: true),
        Refused(
            request("PUT /v1/entities/user/a", "Content-Type: a/b", "Content-Type: a/b", body: "x"), .badRequest,
            position: true),
        Refused(request("PUT /v1/entities/user/a", "Idempotency-Key:", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a", "Idempotency-Key: a b", body: "x"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a", "Idempotency-Key: \(long)", body: "x"), .badRequest, position: true),
        Refused(
            request("DELETE /v1/entities/user/a", "Idempotency-Key: k", "Idempotency-Key: k"), .badRequest,
            position: true),
        Refused(request("GET /v1/outcomes/user/a"), .badRequest, position: true),
        Refused(request("PUT /v1/entities/user/a", "If-Match:", body: "x"), .badRequest, position: true),
        Refused(request("GET /v1/entities/user/a", "If-None-Match: 7"), .badRequest, position: true),
        Refused(request("PATCH /v1/entities/user/a", body: "{}"), .unsupportedMediaType, position: true),
        Refused(
            request("PATCH /v1/entities/user/a", "Content-Type: application/json", body: "{}"), .unsupportedMediaType,
            position: true),
        Refused(request("PUT /v1/entities/user/a"), .lengthRequired),
        Refused(
            request("PATCH /v1/entities/user/a", "Content-Type: application/merge-patch+json"), .lengthRequired),
        Refused(request("POST /v1/batch"), .lengthRequired),
        Refused(
            request("PUT /v1/entities/user/a", "Expect: 200-ok", body: "x"), .expectationFailed, closes: true),
        Refused(
            request("PUT /v1/entities/user/a", "Expect: 100-continue", "Content-Length: 1048577"), .entityTooLarge,
            position: true, closes: true),
        Refused(
            request("PUT /v1/entities/user/a", "Content-Length: 1048577"), .entityTooLarge, position: true,
            closes: true),
        Refused("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", .badRequest, closes: true),
        Refused("GET / HTTP/2.0\r\nHost: h\r\n\r\n", .versionNotSupported, closes: true),
        Refused(request("GET /" + String(repeating: long, count: 33)), .uriTooLong, closes: true),
    ]

    /// Every refusal is a whole problem document, tells nothing to the backend, and leaves the connection fit for the
    /// next request unless it says that it closes.
    @Test(arguments: refused)
    func refuses(_ test: Refused) throws {
        let front = try FrontChannel()
        let response = try front.ask(test.request)
        #expect(response.status == test.code.status)
        #expect(response["Content-Type"] == "application/problem+json")
        #expect(response.text.hasPrefix("{\"type\":\"urn:keystead:error:\(test.code.name)\",\"title\":\""))
        #expect(response.text.hasSuffix("\"applied\":\"no\",\"retry\":\"never\"}"))
        #expect((response["Keystead-Position"] == "3:100") == test.hasPosition)
        #expect(response["Allow"] == test.allow)
        #expect((response["Accept-Patch"] != nil) == (test.code == .unsupportedMediaType))
        #expect((response["Connection"] == "close") == test.closes)
        #expect(front.backend.writes.isEmpty)
        #expect(front.backend.reads.isEmpty)
        #expect(front.isOpen == !test.closes)
        guard !test.closes else { return }
        #expect(try front.ask(Self.request("GET /v1/entities/user/a")).status == 404)
    }

    @Test func problemsSayWhatIsKnown() throws {
        let front = try FrontChannel()
        front.backend.refusal = Problem(.storageFull, "the \"disk\"\n is full \u{1}")
        let full = try front.ask(Self.request("PUT /v1/entities/user/a", body: "x"))
        #expect(full.status == 507)
        #expect((1...5).contains(try #require(full["Retry-After"].flatMap { Int($0) })))
        #expect(
            full.text == """
                {"type":"urn:keystead:error:storage-full","title":"Storage full","status":507,\
                "detail":"the \\"disk\\"\\n is full \\u0001","applied":"no","retry":"safe"}
                """)
        front.backend.refusal = Problem(.outcomeUnknown, "?")
        let unknown = try front.ask(Self.request("PUT /v1/entities/user/a", body: "x"))
        #expect(unknown.status == 504)
        #expect(unknown.text.hasSuffix("\"applied\":\"unknown\",\"retry\":\"with-key\"}"))
    }
}
