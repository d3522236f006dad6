import Foundation
import Testing

extension Contract {
    /// What a web page of another origin can make its visitor's browser do: nothing, on either listener.
    @Suite struct BrowserTests {
        private let kind = SharedNode.freshKind()

        /// One request, and its one answer.
        private func ask(
            _ port: UInt16, _ method: String, _ target: String, host: String = "localhost",
            _ fields: [(String, String)] = [], body: String? = nil
        ) throws -> HTTPAnswer {
            let length = body.map { [("Content-Length", "\($0.utf8.count)")] } ?? []
            let lines = ([("Host", host)] + fields + length).map { "\($0.0): \($0.1)" }
            let head = (["\(method) \(target) HTTP/1.1"] + lines + ["", ""]).joined(separator: "\r\n")
            let connection = try RawConnection(port: port)
            try connection.send(Array((head + (body ?? "")).utf8))
            return try connection.answer(toHead: method == "HEAD")
        }

        private static let foreign: [[(String, String)]] = [
            [("Origin", "https://elsewhere.example")], [("Origin", "null")], [("Sec-Fetch-Site", "cross-site")],
            [("Sec-Fetch-Site", "same-site")],
            [("Origin", "http://127.0.0.1:9"), ("Sec-Fetch-Site", "same-origin"), ("Content-Type", "text/plain")],
        ]

        @Test func foreignPagesChangeNothing() throws {
            let node = try SharedNode.get()
            let key = "\(kind)/kept"
            expectWritten(try node.client().put(key, "kept"))
            let line = #"{"op":"delete","key":"\#(key)"}"# + "\n"
            for fields in Self.foreign {
                let requests = [
                    (node.port, "POST", "/v1/batch"), (node.port, "PUT", "/v1/entities/\(key)"),
                    (node.port, "DELETE", "/v1/entities/\(key)"), (node.port, "GET", "/v1/entities/\(key)"),
                    (node.adminPort, "POST", "/v1/admin/throttle?bytes-per-second=7"),
                    (node.adminPort, "POST", "/v1/admin/nodes/n1/cordon"), (node.adminPort, "GET", "/v1/cluster"),
                    (node.adminPort, "GET", "/metrics"), (node.adminPort, "GET", "/nothing"),
                ]
                for (port, method, target) in requests {
                    let answer = try ask(port, method, target, fields, body: method == "GET" ? nil : line)
                    expectProblem(answer, "cross-site", positioned: false)
                    #expect(answer["ETag"] == nil, "\(method) \(target)")
                }
            }
            expectFound(try node.client().get(key), "kept")
            #expect(try node.admin("/v1/admin/throttle").object["bytes-per-second"] as? Int == 0)
            let nodes = try node.admin("/v1/cluster").object["nodes"] as? [[String: Any]]
            #expect(nodes?.first?["state"] as? String == "active")
        }

        @Test func itsOwnPagesAndOtherProgramsAreServed() throws {
            let node = try SharedNode.get()
            for port in [node.port, node.adminPort] {
                let target = port == node.port ? "/v1/entities/\(kind)/none" : "/v1/shards/none"
                let own = [("Origin", "http://localhost:\(port)")]
                expectProblem(try ask(port, "GET", target, host: "localhost:\(port)", own), "not-found")
                for site in ["same-origin", "none"] {
                    expectProblem(try ask(port, "GET", target, [("Sec-Fetch-Site", site)]), "not-found")
                }
            }
        }

        @Test func otherNamesAreMisdirected() throws {
            let node = try SharedNode.get()
            for host in ["elsewhere.example", "elsewhere.example:\(node.port)", "localhost.elsewhere.example"] {
                for (port, target) in [
                    (node.port, "/v1/entities/\(kind)?values=true"), (node.adminPort, "/v1/cluster"),
                    (node.adminPort, "/metrics"),
                ] {
                    expectProblem(try ask(port, "GET", target, host: host), "misdirected", positioned: false)
                }
                let write = try ask(node.port, "PUT", "/v1/entities/\(kind)/a", host: host, body: "x")
                expectProblem(write, "misdirected", positioned: false)
            }
            #expect(try node.client().get("\(kind)/a").status == 404)
            for host in ["127.0.0.1", "[::1]:1", "LocalHost:2", "localhost.", "h"] {
                #expect(try ask(node.adminPort, "GET", "/v1/cluster", host: host).status == 200, "\(host)")
            }
        }

        /// Whoever watches the node may call it as he likes.
        @Test func probesAreSpared() throws {
            let node = try SharedNode.get()
            for path in ["/livez", "/readyz"] {
                for method in ["GET", "HEAD"] {
                    let fields = [("Origin", "https://elsewhere.example")]
                    let answer = try ask(node.adminPort, method, path, host: "elsewhere.example", fields)
                    #expect(answer.status == 200, "\(method) \(path)")
                }
            }
        }

        @Test func noBodyIsAskedForThatNobodyReads() throws {
            let connection = try SharedNode.connect()
            try connection.send(
                "PUT /v1/entities/\(kind)/a HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\nExpect: 100-continue\r\n"
                    + "Content-Length: 5\r\n\r\n")
            expectProblem(try connection.answer(), "cross-site")
            #expect(try connection.isClosedByPeer())
        }

        @Test func statesAreShownInASandbox() throws {
            let client = try SharedNode.client()
            expectWritten(try client.put("\(kind)/page", "<script>alert(1)</script>", type: "text/html"))
            for answer in [try client.get("\(kind)/page"), try client.head("\(kind)/page")] {
                #expect(answer["Content-Security-Policy"] == "sandbox")
                #expect(answer["X-Content-Type-Options"] == "nosniff")
            }
        }

        @Test func allowedOriginsAndNamesAreSettings() throws {
            try withTestFolder("origins") { folder in
                let node = TestNode(
                    in: folder.path,
                    flags: ["--shards", "16", "--allowed-origins", "https://app.example", "--hosts", "db.example,h"])
                try node.start()
                defer { _ = try? node.process.killAndWait() }
                let from = [("Origin", "https://app.example")]
                for port in [node.port, node.adminPort] {
                    let asked = try ask(
                        port, "OPTIONS", "/v1/batch", host: "db.example",
                        from + [("Access-Control-Request-Method", "POST")])
                    #expect(asked.status == 204 && asked["Access-Control-Allow-Origin"] == from[0].1, "\(asked)")
                    let target = port == node.port ? "/v1/entities/k/a" : "/v1/shards/none"
                    let answer = try ask(port, "GET", target, host: "DB.example:1", from)
                    expectProblem(answer, "not-found")
                    #expect(answer["Access-Control-Allow-Origin"] == from[0].1 && answer["Vary"] == "Origin")
                    let other = try ask(port, "GET", target, [("Origin", "https://other.example")])
                    expectProblem(other, "cross-site")
                }
            }
        }
    }
}
