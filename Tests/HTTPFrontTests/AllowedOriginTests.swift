import Entities
import Primitives
import Testing

@testable import HTTPFront

/// Pages of origins that the operator allows, and what browsers ask before them (Fetch §3.2).
@Suite struct AllowedOriginTests {
    private let app = "https://app.example"

    private func front() throws -> FrontChannel {
        let origins = ["https://App.Example:443", "http://b.example:8080", "http://[::1]:5"].map { WebOrigin($0) }
        return try FrontChannel(door: DoorPolicy(allowedOrigins: origins.compactMap { $0 }))
    }

    private func request(_ line: String, _ fields: String..., body: String? = nil) -> String {
        let length = body.map { ["Content-Length: \($0.utf8.count)"] } ?? []
        let lines = [line + " HTTP/1.1", "Host: localhost:1"] + fields + length + ["", ""]
        return lines.joined(separator: "\r\n") + (body ?? "")
    }

    private func expectAllowed(_ response: Response, status: Int, origin: String? = nil) {
        #expect(response.status == status)
        #expect(response["Access-Control-Allow-Origin"] == origin ?? app, "\(response)")
        #expect(response["Vary"] == "Origin")
        #expect(response["Access-Control-Expose-Headers"]?.contains("ETag") == true)
    }

    @Test func everyAnswerNamesTheOrigin() throws {
        let front = try front()
        let from = "Origin: \(app)"
        expectAllowed(try front.ask(request("PUT /v1/entities/k/a", from, body: "x")), status: 204)
        expectAllowed(try front.ask(request("GET /v1/entities/k/a", from, "Sec-Fetch-Site: cross-site")), status: 200)
        expectAllowed(try front.ask(request("GET /v1/entities/k/a", from, "If-None-Match: *")), status: 304)
        expectAllowed(try front.ask(request("HEAD /v1/entities/k/a", from), toHead: true), status: 200)
        expectAllowed(try front.ask(request("GET /v1/entities/k/none", from)), status: 404)
        expectAllowed(try front.ask(request("PUT /v1/entities/k/a", from, "If-Match: x", body: "x")), status: 400)
        expectAllowed(try front.ask(request("BREW /v1/entities/k/a", from)), status: 405)
        expectAllowed(try front.ask(request("GET /v1/entities/k", from)), status: 200)
        expectAllowed(try front.ask(request("GET /livez", from)), status: 404)
        expectAllowed(try front.ask(request("POST /v1/batch", from, body: #"{"op":"get","key":"k/a"}"#)), status: 200)
        let broken = request("PUT /v1/entities/k/a", from, "Transfer-Encoding: chunked") + "x\r\n"
        expectAllowed(try front.ask(broken), status: 400)
    }

    /// Where answers may differ by origin, caches hear so from every answer.
    @Test func answersToOthersVaryToo() throws {
        let front = try front()
        for fields in ["Accept: */*", "Origin: http://localhost:1", "Origin: https://evil.example"] {
            let response = try front.ask(request("GET /v1/entities/k/a", fields))
            #expect(response["Vary"] == "Origin" && response["Access-Control-Allow-Origin"] == nil)
        }
    }

    /// The origin is that of the request which is answered, in a pipeline too.
    @Test func eachAnswerIsAboutItsOwnRequest() throws {
        let front = try front()
        front.backend.isHolding = true
        try front.send(
            request("GET /v1/entities/k/a", "Origin: \(app)") + request("GET /v1/entities/k/b")
                + request("GET /v1/entities/k/c", "Origin: http://B.example:8080") + "nonsense\r\n\r\n")
        front.release(2, 1, 0)
        let origins = try front.takeResponses().map { $0["Access-Control-Allow-Origin"] }
        #expect(origins == [app, nil, "http://b.example:8080", nil])
    }

    @Test func preflightsAreAnswered() throws {
        let front = try front()
        for target in ["/v1/entities/k/a", "/v1/batch", "/v1/admin/throttle", "*"] {
            let response = try front.ask(
                request(
                    "OPTIONS \(target)", "Origin: \(app)", "Access-Control-Request-Method: PUT",
                    "Access-Control-Request-Headers: idempotency-key"))
            expectAllowed(response, status: 204)
            #expect(response["Content-Length"] == nil && response["Access-Control-Max-Age"] != nil)
            let methods = response["Access-Control-Allow-Methods"]?.split(separator: ", ").map(String.init)
            #expect(Set(methods ?? []) == ["GET", "HEAD", "PUT", "PATCH", "DELETE", "POST"])
            let headers = response["Access-Control-Allow-Headers"]?.lowercased() ?? ""
            for name in ["content-type", "if-match", "if-none-match", "idempotency-key", "prefer", "authorization"] {
                #expect(headers.contains(name))
            }
        }
        expectAllowed(try front.ask(request("GET /v1/entities/k/a", "Origin: \(app)")), status: 404)
    }

    @Test func aPreflightMayEndItsConnection() throws {
        for fields in ["Connection: close", "Content-Length: 5"] {
            let front = try front()
            let text = request(
                "OPTIONS /v1/batch", "Origin: \(app)", "Access-Control-Request-Method: POST", fields)
            expectAllowed(try front.ask(text), status: 204)
            #expect(!front.isOpen)
        }
    }

    @Test func otherOptionsAreNone() throws {
        let front = try front()
        let asking = "Access-Control-Request-Method: PUT"
        #expect(try front.ask(request("OPTIONS /v1/batch", "Origin: https://evil.example", asking)).status == 403)
        #expect(try front.ask(request("OPTIONS /v1/batch", asking)).status == 405)
        expectAllowed(try front.ask(request("OPTIONS /v1/batch", "Origin: \(app)")), status: 405)
        #expect(try front.ask(request("OPTIONS /v1/batch", "Origin: http://localhost:1", asking)).status == 405)
    }

    @Test(arguments: [
        ("https://a.example", "https://a.example"), ("HTTPS://A.example:443", "https://a.example"),
        ("http://a.example:80", "http://a.example"), ("http://a.example:443", "http://a.example:443"),
        ("http://[::1]:5", "http://[::1]:5"), ("moz-extension://ab-12", "moz-extension://ab-12"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"), ("app://x:9", "app://x:9"), ("*", nil), ("null", nil),
        ("", nil), ("a.example", nil), ("https://", nil), ("https://a.example/", nil), ("https://a.example/x", nil),
        ("https://*.example", nil), ("https://a.example:x", nil), ("https://a.example:70000", nil),
        ("app://x:70000", nil), ("https://u@a.example", nil), ("https://[x]", nil), ("https://a b", nil),
        ("://a", nil), ("https//a", nil), ("http://a:0", nil),
    ])
    func originsAreReadAsBrowsersWriteThem(text: String, origin: String?) {
        #expect(WebOrigin(text)?.text == origin)
    }
}
