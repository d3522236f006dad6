import Entities
import Primitives
import Testing

@testable import HTTPFront

/// Which names a listener goes by, and which web pages may use it (Contract §8.2).
@Suite struct DoorTests {
    private func request(_ line: String, _ fields: [String], body: String? = nil) -> String {
        let length = body.map { ["Content-Length: \($0.utf8.count)"] } ?? []
        return ([line + " HTTP/1.1"] + fields + length + ["", ""]).joined(separator: "\r\n") + (body ?? "")
    }

    private let named = DoorPolicy(hosts: .names(["db.example", "Node-1.Local."]))

    private func code(_ response: Response) -> String? {
        let parts = response.text.components(after: "urn:keystead:error:")
        return parts.map { String($0.prefix { $0 != "\"" }) }
    }

    // MARK: Host

    @Test(arguments: [
        "127.0.0.1", "127.0.0.1:7070", "10.1.2.3:1", "255.255.255.255", "[::1]", "[::1]:7070", "[2001:DB8::7]:80",
        "[::ffff:127.0.0.1]", "[fe80::1%25eth0]:7070", "localhost", "localhost:9", "LOCALHOST", "localhost.",
        "db.example", "DB.Example:7070", "db.example.", "node-1.local", "node-1.local.:7070", "localhost:", "",
    ])
    func addressesAndItsOwnNamesAreServed(host: String) throws {
        let front = try FrontChannel(door: named)
        #expect(try front.ask(request("GET /v1/entities/k/a", ["Host: \(host)"])).status == 404)
        #expect(front.backend.reads.count == 1)
    }

    @Test(arguments: [
        "evil.example", "evil.example:7070", "localhost.evil.example", "127.0.0.1.evil.example", "db.example.evil",
        "xdb.example", "db", "example", "127.0.0.1.", "127.1", "2130706433", "0x7f.0.0.1", "127.0.0.01", "127.0.0.256",
        "1.2.3.4.5", "127..0.1", "localhost..", ".", "[evil]", "[localhost]", "[::1::]", "[v1.x]", "localhos",
        "127.0.0",
    ])
    func otherNamesAreMisdirected(host: String) throws {
        for line in ["GET /v1/entities/k/a", "PUT /v1/entities/k/a", "POST /v1/batch", "OPTIONS *", "GET /nothing"] {
            let front = try FrontChannel(door: named)
            front.backend.store("k/a", "secret")
            let response = try front.ask(request(line, ["Host: \(host)", "Content-Length: 0"]))
            #expect(response.status == 421 && code(response) == "misdirected", "\(line) \(host)")
            #expect(response.text.contains("\"applied\":\"no\",\"retry\":\"never\""))
            #expect(response["ETag"] == nil && response["Keystead-Position"] == nil)
            #expect(front.backend.reads.isEmpty && front.backend.writes.isEmpty)
        }
    }

    @Test(arguments: ["localhost:x", "localhost:7070:1", "::1", "[::1", "[::1]x", "a]:1"])
    func whatIsNoHostIsMalformed(host: String) throws {
        let front = try FrontChannel(door: named)
        #expect(try front.ask(request("GET /v1/entities/k/a", ["Host: \(host)"])).status == 400)
    }

    @Test func theTargetSaysTheHostBeforeTheField() throws {
        let table = [
            ("http://evil.example/v1/entities/k/a", "localhost", 421),
            ("http://localhost/v1/entities/k/a", "evil", 404),
            ("HTTP://127.0.0.1:5/v1/entities/k/a", "evil.example", 404), ("http://evil.example?x", "localhost", 421),
            ("https://[::1]/v1/entities/k/a", "evil", 404), ("http://localhost:x/v1/entities/k/a", "localhost", 400),
            ("http://:80/v1/entities/k/a", "localhost", 400),
        ]
        for (target, host, status) in table {
            let response = try FrontChannel(door: named).ask(request("GET \(target)", ["Host: \(host)"]))
            #expect(response.status == status, "\(target), \(host)")
        }
    }

    @Test func oldVersionsMayKeepTheirHostToThemselves() throws {
        #expect(try FrontChannel(door: named).ask("GET /v1/entities/k/a HTTP/1.0\r\n\r\n").status == 404)
        #expect(try FrontChannel(door: named).ask("GET /v1/entities/k/a HTTP/1.0\r\nHost: evil\r\n\r\n").status == 421)
        #expect(try FrontChannel(door: named).ask("GET /v1/entities/k/a HTTP/1.1\r\n\r\n").status == 400)
    }

    /// Whoever watches a node may call it as he likes; the listener for data has nothing at these paths.
    @Test func probesAreSpared() throws {
        for path in ["/livez", "/readyz", "/livez?x=1"] {
            for fields in [["Host: evil.example"], ["Host: a", "Origin: http://evil.example"]] {
                #expect(try FrontChannel(door: named).ask(request("GET \(path)", fields)).status == 404, "\(path)")
                let head = try FrontChannel(door: named).ask(request("HEAD \(path)", fields), toHead: true)
                #expect(head.status == 404)
            }
            #expect(try FrontChannel(door: named).ask(request("POST \(path)", ["Host: evil"], body: "")).status == 421)
        }
        for path in ["/livez/", "/metrics", "/ui/", "/livezz", "//livez"] {
            #expect(try FrontChannel(door: named).ask(request("GET \(path)", ["Host: evil"])).status == 421, "\(path)")
        }
    }

    @Test func anyHostIsTakenWhereThatIsSaid() throws {
        let front = try FrontChannel(door: DoorPolicy(hosts: .any))
        for host in ["evil.example", "[evil]", "127.1"] {
            #expect(try front.ask(request("GET /v1/entities/k/a", ["Host: \(host)"])).status == 404)
        }
        let foreign = request("GET /v1/entities/k/a", ["Host: evil.example", "Origin: http://other.example"])
        #expect(try front.ask(foreign).status == 403)
    }

    // MARK: Origin

    static let sameOrigin = [
        ("localhost:7070", "http://localhost:7070"), ("localhost:7070", "https://LOCALHOST:7070"),
        ("localhost", "http://localhost"), ("localhost", "http://localhost:80"), ("localhost:80", "http://localhost"),
        ("localhost:443", "https://localhost"), ("localhost", "https://localhost:443"), ("[::1]:5", "http://[::1]:5"),
        ("127.0.0.1:7070", "http://127.0.0.1:7070"), ("localhost:07070", "http://localhost:7070"),
    ]

    @Test(arguments: sameOrigin)
    func itsOwnPagesMayDoAll(host: String, origin: String) throws {
        let front = try FrontChannel(door: named)
        let fields = ["Host: \(host)", "Origin: \(origin)", "Sec-Fetch-Site: cross-site"]
        #expect(try front.ask(request("PUT /v1/entities/k/a", fields, body: "x")).status == 204)
        let batch = try front.ask(request("POST /v1/batch", fields, body: #"{"op":"get","key":"k/a"}"#))
        #expect(batch.status == 200)
        #expect(batch["Access-Control-Allow-Origin"] == nil && batch["Vary"] == nil)
    }

    @Test(arguments: [
        "https://evil.example", "null", "", "http://localhost:7071", "http://localhost", "https://localhost",
        "http://127.0.0.1:7070", "ftp://localhost:7070", "localhost:7070", "http://", "http://localhost:7070/",
        "http://localhost:7070 http://localhost:7070", "http://localhost.:7070", "http://evil@localhost:7070",
        "http://localhost:70707070", "chrome-extension://localhost:7070", "http://localhost:7070.evil.example",
    ])
    func foreignPagesMayDoNothing(origin: String) throws {
        for line in ["GET /v1/entities/k/a", "PUT /v1/entities/k/a", "POST /v1/batch", "DELETE /v1/entities/k/a"] {
            let front = try FrontChannel(door: named)
            front.backend.store("k/a", "precious")
            let fields = ["Host: localhost:7070", "Origin: \(origin)", "Content-Type: text/plain"]
            let response = try front.ask(request(line, fields, body: #"{"op":"delete","key":"k/a"}"#))
            #expect(response.status == 403 && code(response) == "cross-site", "\(line) \(origin)")
            #expect(response.text.contains("\"applied\":\"no\",\"retry\":\"never\""))
            #expect(response["ETag"] == nil && response["Keystead-Position"] == nil)
            #expect(response["Access-Control-Allow-Origin"] == nil)
            #expect(front.backend.reads.isEmpty && front.backend.writes.isEmpty)
        }
    }

    @Test func twoOriginsAreForeign() throws {
        let fields = ["Host: localhost:1", "Origin: http://localhost:1", "Origin: http://localhost:1"]
        #expect(try FrontChannel(door: named).ask(request("GET /v1/entities/k/a", fields)).status == 403)
    }

    @Test func withoutAHostNoOriginIsItsOwn() throws {
        let text = "GET /v1/entities/k/a HTTP/1.0\r\nOrigin: http://localhost\r\n\r\n"
        #expect(try FrontChannel(door: named).ask(text).status == 403)
    }

    @Test func theTargetSaysWhoseOriginItIs() throws {
        let fields = ["Host: localhost:2", "Origin: http://localhost:1"]
        let own = request("GET http://localhost:1/v1/entities/k/a", fields)
        #expect(try FrontChannel(door: named).ask(own).status == 404)
        let foreign = request("GET http://localhost:3/v1/entities/k/a", fields)
        #expect(try FrontChannel(door: named).ask(foreign).status == 403)
    }

    @Test(arguments: [
        ("cross-site", 403), ("same-site", 403), ("Cross-Site", 403), ("same-origin", 404), ("none", 404), ("", 404),
    ])
    func withoutAnOriginTheBrowserSaysWhereItComesFrom(site: String, status: Int) throws {
        let fields = ["Host: localhost", "Sec-Fetch-Site: \(site)", "Sec-Fetch-Mode: no-cors"]
        let response = try FrontChannel(door: named).ask(request("GET /v1/entities/k/a", fields))
        #expect(response.status == status)
        if status == 403 { #expect(code(response) == "cross-site") }
    }

    /// Links from elsewhere lead to the page that the node serves for people, and to nothing else.
    @Test(arguments: [
        ("GET /ui/", "navigate", 404), ("GET /ui/?a", "navigate", 404), ("GET /ui/", "cors", 403),
        ("POST /ui/", "navigate", 403), ("HEAD /ui/", "navigate", 403), ("GET /ui", "navigate", 403),
        ("GET /v1/entities/k/a", "navigate", 403), ("GET /uix/", "navigate", 403),
    ])
    func linksLeadToThePage(line: String, mode: String, status: Int) throws {
        let fields = ["Host: localhost", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: \(mode)"]
        let toHead = line.hasPrefix("HEAD")
        #expect(try FrontChannel(door: named).ask(request(line, fields), toHead: toHead).status == status)
    }

    // MARK: Bodies

    @Test func nothingOfABodyIsWaitedFor() throws {
        for (field, status) in [("Host: evil", 421), ("Host: localhost\r\nOrigin: http://evil", 403)] {
            let front = try FrontChannel(door: named)
            let refused = try front.ask("PUT /v1/entities/k/a HTTP/1.1\r\n\(field)\r\nContent-Length: 5\r\n\r\n")
            #expect(refused.status == status)
            #expect(refused["Connection"] == nil)
            let next = "GET /v1/entities/k/a HTTP/1.1\r\nHost: localhost\r\n\r\n"
            #expect(try front.ask("hello" + next).status == 404, "the connection goes on behind the body")
            #expect(front.backend.writes.isEmpty)
        }
    }

    @Test func noBodyIsAskedFor() throws {
        for field in ["Host: evil", "Host: localhost\r\nOrigin: null"] {
            let front = try FrontChannel(door: named)
            try front.send(
                "PUT /v1/entities/k/a HTTP/1.1\r\n\(field)\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            let responses = try front.takeResponses()
            #expect(responses.count == 1 && (responses[0].status == 421 || responses[0].status == 403))
            #expect(responses[0]["Connection"] == "close")
        }
    }
}

extension String {
    /// What follows the first `text`.
    fileprivate func components(after text: String) -> Substring? {
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(text) { return rest.dropFirst(text.count) }
            rest = rest.dropFirst()
        }
        return nil
    }
}
