import Foundation
import Glibc
import Testing

extension Contract {
    /// The two programs as scripts see them: exit codes, what goes to stdout and what to stderr.
    @Suite struct CommandTests {
        let kind = SharedNode.freshKind("cli")

        struct Result {
            let code: Int32
            let output: String
            let errors: String
        }

        private func run(_ program: String, _ arguments: [String], environment: [String: String] = [:]) throws -> Result
        {
            try withTestFolder("command") { folder in
                let result = try ChildProcess.run(program, arguments, environment: environment, in: folder.path)
                guard case .exited(let code) = result.ending else {
                    throw HarnessError("\(program) \(arguments) ended by \(result.ending): \(result.errors)")
                }
                return Result(code: code, output: result.output, errors: result.errors)
            }
        }

        /// `keysteadctl`, pointed at the shared node.
        private func control(_ arguments: String...) throws -> Result { try control(arguments) }

        private func control(_ arguments: [String], environment: [String: String] = [:]) throws -> Result {
            let node = try SharedNode.get()
            let verbs = arguments.prefix { !$0.hasPrefix("-") && !$0.contains("/") }
            let known = ["op", "node", "shard", "rebalance", "explain", "throttle"].contains(verbs.first ?? "") ? 2 : 1
            let place = [
                "--endpoint", "http://127.0.0.1:\(node.port)", "--admin", "http://127.0.0.1:\(node.adminPort)",
            ]
            return try run(
                Programs.control, Array(arguments.prefix(known)) + place + arguments.dropFirst(known),
                environment: environment)
        }

        @Test func entitiesComeAndGo() throws {
            let key = "\(kind)/a"
            #expect(try control("put", key, "--json", #"{"n":1}"#).code == 0)
            let found = try control("get", key)
            #expect(found.code == 0 && found.output.trimmingCharacters(in: .newlines) == #"{"n":1}"#)
            #expect(try control("patch", key, #"{"m":2}"#).code == 0)
            #expect(try control("patch", key, #"{"do":[{"increment":"/n","by":1}]}"#, "--type", "update").code == 0)
            #expect(try control("patch", key, #"[{"op":"remove","path":"/m"}]"#, "--type", "json-patch").code == 0)
            #expect(try control("get", key).output.trimmingCharacters(in: .newlines) == #"{"n":2}"#)
            let listed = try control("list", kind, "--output", "json")
            #expect(listed.code == 0 && listed.output.contains(key))
            #expect(try control("delete", key).code == 0)
            let gone = try control("get", key)
            #expect(gone.code == 8 && gone.output.isEmpty && !gone.errors.isEmpty, "\(gone)")
            #expect(try control("delete", key).code == 8)
        }

        @Test func aFileIsPutByteForByte() throws {
            try withTestFolder("command") { folder in
                let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
                let file = try folder.write("state.bin", bytes)
                #expect(try control("put", "\(kind)/file", file, "--content-type", "image/x").code == 0)
                let found = try SharedNode.client().get("\(kind)/file")
                #expect(found.body == bytes && found["Content-Type"] == "image/x")
            }
        }

        @Test func preconditionsEndWithFour() throws {
            let key = "\(kind)/p"
            #expect(try control("put", key, "--json", "1", "--if-absent").code == 0)
            let refused = try control("put", key, "--json", "2", "--if-absent")
            #expect(refused.code == 4 && !refused.errors.isEmpty && refused.output.isEmpty)
            let version = try #require(try SharedNode.client().get(key).version64)
            #expect(try control("put", key, "--json", "2", "--if-match", "\(version + 1)").code == 4)
            #expect(try control("put", key, "--json", "2", "--if-match", "\(version)").code == 0)
            #expect(try SharedNode.client().get(key).text == "2")
        }

        @Test func aRepeatedKeyChangesNothing() throws {
            let key = "\(kind)/i"
            for _ in 0..<2 { #expect(try control("put", key, "--json", "1", "--idempotency-key", "k").code == 0) }
            let version = try SharedNode.client().get(key).version64
            #expect(
                try SharedNode.client().outcome(key, idempotencyKey: "k").object["etag"] as? String
                    == "\"\(version ?? 0)\"")
            #expect(try control("put", key, "--json", "2", "--idempotency-key", "k").code != 0)
        }

        @Test(arguments: [
            ["spin"], ["put"], ["get"], ["get", "k/a", "--no-such-flag"], ["get", "k/a", "--output", "xml"],
            ["list"], ["put", "k/a", "--json", "1", "--ttl", "soon"],
        ])
        func wrongUseEndsWithTwo(arguments: [String]) throws {
            let result = try run(Programs.control, arguments)
            #expect(result.code == 2, "\(result)")
            #expect(result.output.isEmpty && !result.errors.isEmpty, "\(result)")
        }

        @Test func aBadKeyIsNotAccepted() throws {
            let result = try control("get", "Bad Kind/a")
            #expect([1, 2, 3].contains(result.code) && !result.errors.isEmpty, "\(result)")
        }

        @Test func anUnreachableNodeEndsWithSeven() throws {
            let port = try FreePort.next()
            let result = try run(Programs.control, ["get", "k/a", "--endpoint", "http://127.0.0.1:\(port)"])
            #expect(result.code == 7 && result.output.isEmpty && result.errors.contains("\(port)"), "\(result)")
            let status = try run(Programs.control, ["status", "--admin", "http://127.0.0.1:\(port)"])
            #expect(status.code == 7, "\(status)")
        }

        @Test func theStatusBeginsWithAVerdict() throws {
            let text = try control("status")
            #expect(text.code == 0 && text.output.hasPrefix("HEALTHY"), "\(text)")
            #expect(try control("status", "--check").code == 0)
            let json = try control("status", "--output", "json")
            let facts = try JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any]
            #expect(facts?["verdict"] as? String == "HEALTHY" && facts?["reasons"] is [String], "\(json)")
            #expect(facts?["cluster"] is String && (facts?["shards"] as? [Any])?.count == 64)
        }

        @Test func aKeyIsLocated() throws {
            let shard = try SharedNode.client().put("\(kind)/w", "x").position?.shard
            let result = try control("where", "\(kind)/w", "--output", "json")
            let facts = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
            #expect(result.code == 0 && facts?["shard"] as? Int == shard && facts?["node"] is String, "\(result)")
        }

        @Test func helpGoesToStdout() throws {
            for arguments in [["--help"], ["get", "--help"], ["import", "--help"]] {
                let result = try run(Programs.control, arguments)
                #expect(result.code == 0 && result.output.contains("USAGE"), "\(arguments)")
            }
            for arguments in [["--help"], ["serve", "--help"]] {
                let result = try run(Programs.server, arguments)
                #expect(result.code == 0 && result.output.contains("USAGE"), "\(arguments)")
            }
        }

        @Test func importNamesAndCountsWhatItRefuses() throws {
            try withTestFolder("command") { folder in
                let lines = [
                    #"{"id":"a","n":1}"#, "nonsense", #"{"n":2}"#, #"{"id":"b","n":3}"#, #"{"id":"..","n":4}"#,
                ]
                let file = try folder.write("in.ndjson", Array((lines.joined(separator: "\n") + "\n").utf8))
                let result = try control("import", kind, file, "--id-field", "id")
                #expect(result.code == 1, "\(result)")
                for line in ["2", "3", "5"] {
                    #expect(result.errors.contains(line), "line \(line) is named: \(result)")
                }
                #expect(try SharedNode.client().get("\(kind)/a").text == lines[0])
                #expect(try SharedNode.client().get("\(kind)/b").text == lines[3])
                #expect(!result.errors.contains("\u{1b}"), "no colour outside a terminal")

                let good = try folder.write("good.ndjson", Array(#"{"id":"c","n":1}"#.utf8))
                #expect(try control("import", kind, good, "--id-field", "id").code == 0)
                let exported = try control("export", kind)
                #expect(exported.code == 0)
                #expect(
                    Set(exported.output.split(separator: "\n").map(String.init)) == [
                        lines[0], lines[3], #"{"id":"c","n":1}"#,
                    ])
            }
        }

        /// States that no line of NDJSON can be, out of one kind and into another place of the same name.
        @Test func anExportMakesTheSameEntitiesAgain() throws {
            try withTestFolder("command") { folder in
                let client = try SharedNode.client()
                let deep = [UInt8](repeating: 0x5B, count: 400) + [UInt8](repeating: 0x5D, count: 400)
                let states: [[UInt8]] = [
                    [], Array("{}".utf8), Array(" {\n} ".utf8), Array(#"{"id":"x","n":1.0e2}"#.utf8),
                    Array("null".utf8),
                    [0, 0xFF, 0x0A, 0x1B], Array("\u{FEFF}\u{202E}\u{9B}é\u{0}".utf8),
                    Array("{\"a\":1,\"a\":2}\r\n".utf8),
                    deep, [UInt8](repeating: 1, count: 1 << 16), [UInt8](repeating: 0xC3, count: 1 << 18),
                    Array(#"{"key":"k/a","content-type":"x","text":""}"#.utf8),
                ]
                let types = ["application/json", "text/plain; charset=x", "a/b", nil]
                var keys: [(key: String, state: [UInt8], type: String)] = []
                for (number, state) in states.enumerated() {
                    for (index, type) in types.enumerated() {
                        let key = "\(kind)/\(number) \u{202E}\"\(index)"
                        _ = try client.put(key, state, type: type)
                        keys.append((key, state, type ?? "application/octet-stream"))
                    }
                }
                let file = "\(folder.path)/all.ndjson"
                #expect(try control("put", "\(kind)/ttl", "--json", "1", "--ttl", "1000").code == 0)
                let exported = try control("export", kind, "--to", file)
                #expect(exported.code == 0, "\(exported)")
                for entity in keys { _ = try client.delete(entity.key) }
                #expect(try control("delete", "\(kind)/ttl").code == 0)

                // Nothing does not replace the copy.
                #expect(try control("export", kind, "--to", file).code == 8)
                let imported = try control("import", kind, file)
                #expect(imported.code == 0, "\(imported)")
                for entity in keys {
                    let found = try client.get(entity.key)
                    #expect(found.body == entity.state, "\(entity.key)")
                    #expect(found["Content-Type"] == entity.type, "\(entity.key)")
                }
                let left = try client.get("\(kind)/ttl")["Keystead-TTL"].flatMap { Int($0) }
                #expect(left.map { (900...1000).contains($0) } == true)
            }
        }

        // MARK: keystead serve

        @Test func anUnknownSettingNamesTheNearest() throws {
            try withTestFolder("serve") { folder in
                let file = try folder.write("node.yaml", Array("limits:\n  entity-byts: 1MiB\n".utf8))
                let result = try run(Programs.server, ["serve", "--config", file, "--data-dir", "\(folder.path)/data"])
                #expect(result.code == 2 && result.errors.contains("limits.entity-bytes"), "\(result)")
                let environment = try run(
                    Programs.server, ["serve", "--data-dir", "\(folder.path)/data"],
                    environment: ["KEYSTEAD_SHARD": "16"])
                #expect(environment.code == 2 && environment.errors.contains("KEYSTEAD_SHARDS"), "\(environment)")
                for arguments in [
                    ["serve", "--no-such"], ["serve", "--shards", "17"], ["serve", "--listen", "nowhere"], ["spin"],
                ] {
                    let result = try run(
                        Programs.server,
                        arguments + (arguments[0] == "serve" ? ["--data-dir", "\(folder.path)/data"] : []))
                    #expect(result.code == 2 && !result.errors.isEmpty, "\(arguments): \(result)")
                }
            }
        }

        @Test func aPortInUseIsNamed() throws {
            try withTestFolder("serve") { folder in
                let taken = try FreePort.next()
                let result = try run(
                    Programs.server,
                    [
                        "serve", "--data-dir", "\(folder.path)/data", "--listen", "127.0.0.1:\(SharedNode.get().port)",
                        "--admin-listen", "127.0.0.1:\(taken)", "--peer-listen", "127.0.0.1:\(FreePort.next())",
                    ])
                #expect(result.code == 1, "\(result)")
                #expect(result.errors.hasSuffix(" (listen): address already in use\n"), "\(result)")
            }
        }

        /// A listener that others can reach wants to be asked for, and a cluster wants to be told where it is.
        @Test func openListenersAreRefused() throws {
            try withTestFolder("open") { folder in
                let data = "\(folder.path)/data"
                let ports = (try FreePort.next(), try FreePort.next(), try FreePort.next())
                let places = [("--listen", ports.0), ("--admin-listen", ports.1), ("--peer-listen", ports.2)]
                let etcd = ["--insecure", "--metadata", "etcd://127.0.0.1:1"]
                for (open, advertise) in [
                    ("--listen", "--advertise"), ("--admin-listen", "--advertise-admin"),
                    ("--peer-listen", "--advertise-peer"),
                ] {
                    for (host, extra, hint) in [
                        ("0.0.0.0", [], "--insecure"), ("10.1.2.3", [], "--insecure"), ("[::]", [], "--insecure"),
                        ("0.0.0.0", etcd, advertise), ("[::]", etcd, advertise),
                    ] {
                        let flags = places.flatMap { [$0.0, "\($0.0 == open ? host : "127.0.0.1"):\($0.1)"] }
                        let result = try run(Programs.server, ["serve", "--data-dir", data] + flags + extra)
                        #expect(result.code == 3, "\(open) \(host) \(extra): \(result)")
                        #expect(result.errors.contains("\(open.dropFirst(2)) ") && result.errors.contains(hint))
                        #expect(result.errors.split(separator: "\n").count == 1, "\(result)")
                        #expect(!FileManager.default.fileExists(atPath: data), "nothing has been written")
                    }
                }
            }
        }

        @Test func callersAreToldNoWildcard() throws {
            try withTestFolder("wildcard") { folder in
                let node = TestNode(in: folder.path, flags: ["--shards", "16", "--insecure"], host: "0.0.0.0")
                try node.start()
                defer { _ = try? node.process.killAndWait() }
                let nodes = try node.admin("/v1/cluster").object["nodes"] as? [[String: Any]]
                for (member, port) in [("listen", node.port), ("admin", node.adminPort)] {
                    let told = try #require(nodes?.first?[member] as? String)
                    let host = try #require(told.split(separator: ":").first.map(String.init))
                    #expect(host != "0.0.0.0" && told == "\(host):\(port)")
                    _ = try RawConnection(host: host, port: port)
                }
                #expect(node.log.contains("--advertise"))
            }
        }

        /// Flags over environment over file over defaults, seen in what the node says of itself.
        @Test func settingsHaveAnOrder() throws {
            try withTestFolder("serve") { folder in
                let yaml = "cluster: from-file\nnode-id: from-file\nzone: from-file\nshards: 16\n"
                let file = try folder.write("node.yaml", Array(yaml.utf8))
                let ports = (try FreePort.next(), try FreePort.next(), try FreePort.next())
                let process = try ChildProcess(
                    Programs.server,
                    [
                        "serve", "--config", file, "--data-dir", "\(folder.path)/data", "--listen",
                        "127.0.0.1:\(ports.0)",
                        "--admin-listen", "127.0.0.1:\(ports.1)", "--peer-listen", "127.0.0.1:\(ports.2)", "--node-id",
                        "from-flag",
                    ], environment: ["KEYSTEAD_NODE_ID": "from-environment", "KEYSTEAD_ZONE": "from-environment"],
                    in: folder.path,
                    name: "node")
                defer { process.killAndWait() }
                var cluster: HTTPAnswer?
                _ = eventually(within: 30) {
                    guard let connection = try? RawConnection(port: ports.1) else { return false }
                    try? connection.send(EntityClient.request("GET", "/v1/cluster"))
                    cluster = try? connection.answer()
                    return cluster?.status == 200
                }
                let facts = try #require(cluster?.object, "\(process.errors)")
                #expect(facts["cluster"] as? String == "from-file")
                let node = try #require((facts["nodes"] as? [[String: Any]])?.first)
                #expect(node["id"] as? String == "from-flag" && node["zone"] as? String == "from-environment")
                #expect(node["shards"] as? Int == 16)
            }
        }
    }
}
