import Foundation
import Synchronization
import Testing

extension Contract {
    @Suite struct ListTests {
        let kind = SharedNode.freshKind()

        private func fill(_ count: Int, prefix: String = "e") throws -> Set<String> {
            let client = try SharedNode.client()
            let keys = (0..<count).map { "\(kind)/\(prefix)-\($0)" }
            let lines = try client.batch(keys.map { #"{"op":"put","key":"\#($0)","json":{"k":"\#($0)"}}"# })
            try #require(lines.allSatisfy { $0["status"] as? Int == 204 })
            return Set(keys)
        }

        private func keys(_ items: [[String: Any]]) -> [String] { items.compactMap { $0["key"] as? String } }

        @Test(arguments: [1, 7, 100, 250, 1000])
        func pagesHoldEachEntityExactlyOnce(limit: Int) throws {
            let client = try SharedNode.client()
            let expected = try fill(limit == 1 ? 30 : 250)
            var found: [String] = []
            var cursor: String?
            repeat {
                let answer = try client.list(kind, "limit=\(limit)" + (cursor.map { "&cursor=\($0)" } ?? ""))
                #expect(answer.status == 200 && answer["Content-Type"] == "application/json", "\(answer)")
                #expect(answer["Keystead-Position"] == nil)
                let page = try #require(answer.object["items"] as? [[String: Any]])
                #expect(page.count <= limit)
                found += keys(page)
                cursor = answer.object["cursor"] as? String
                if cursor == nil { #expect(answer.object["cursor"] is NSNull, "the last page says null") }
            } while cursor != nil
            #expect(found.count == expected.count && Set(found) == expected)
        }

        @Test func aPageHolds100WhereNothingElseIsSaid() throws {
            _ = try fill(120)
            let answer = try SharedNode.client().list(kind)
            #expect((answer.object["items"] as? [Any])?.count == 100)
        }

        @Test func anItemSaysWhatTheEntityIs() throws {
            let client = try SharedNode.client()
            let json = try client.put("\(kind)/json", #"{"a":1.50}"#, type: "application/json")
            try client.put("\(kind)/text", "grün\n", type: "text/plain")
            try client.put("\(kind)/bytes", [0xff, 0x00, 0x01], type: "image/x")
            let plain = try client.listAll(kind)
            #expect(plain.count == 3)
            let item = try #require(plain.first { $0["key"] as? String == "\(kind)/json" })
            #expect(item["etag"] as? String == json["ETag"] && item["bytes"] as? Int == 10)
            #expect(item["content-type"] as? String == "application/json")
            #expect(ISO8601DateFormatter().date(from: withoutFraction(item["updated"] as? String)) != nil, "\(item)")
            #expect(plain.allSatisfy { $0["json"] == nil && $0["text"] == nil && $0["base64"] == nil })

            let full = try client.listAll(kind, "values=true")
            func content(_ name: String) throws -> [String: Any] {
                try #require(full.first { $0["key"] as? String == "\(kind)/\(name)" })
            }
            #expect((try content("json")["json"] as? [String: Any])?["a"] as? Double == 1.5)
            #expect(try content("text")["text"] as? String == "grün\n")
            #expect(try content("bytes")["base64"] as? String == "/wAB")
            let without = try client.listAll(kind, "values=false")
            #expect(without.allSatisfy { $0["json"] == nil })
        }

        private func withoutFraction(_ time: String?) -> String {
            (time ?? "").replacing(/\.\d+Z$/, with: "Z")
        }

        @Test func aPrefixSelects() throws {
            let client = try SharedNode.client()
            let expected = try fill(20, prefix: "in/side")
            _ = try fill(20, prefix: "out")
            try client.put("\(kind)/gr\u{fc}n", "x")
            #expect(Set(keys(try client.listAll(kind, limit: 3, "prefix=in/"))) == expected)
            #expect(Set(keys(try client.listAll(kind, "prefix=in%2Fside-"))) == expected)
            #expect(keys(try client.listAll(kind, "prefix=gr%C3%BC")) == ["\(kind)/gr\u{fc}n"])
            #expect(try client.listAll(kind, "prefix=none").isEmpty)
            #expect(try client.listAll(kind, "prefix=").count == 41)
        }

        @Test func kindsAreApart() throws {
            let client = try SharedNode.client()
            let longer = kind + "x"
            try client.put("\(kind)/a", "1")
            try client.put("\(longer)/b", "2")
            #expect(keys(try client.listAll(kind)) == ["\(kind)/a"])
            #expect(keys(try client.listAll(longer)) == ["\(longer)/b"])
            #expect(try client.listAll("no-such-kind-at-all").isEmpty)
        }

        @Test func theHarvestIsComplete() throws {
            _ = try fill(5)
            for query in ["", "require=full"] {
                let answer = try SharedNode.client().list(kind, query)
                let harvest = try #require(answer.object["harvest"] as? [String: Any])
                #expect(harvest["answered"] as? Int == 64 && harvest["of"] as? Int == 64, "\(answer)")
                #expect((harvest["missing"] as? [Any])?.isEmpty == true)
            }
        }

        @Test(arguments: [
            "limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=1.5", "limit=99999999999999999999",
            "cursor=nonsense",
            "cursor=", "cursor=%00", "cursor=AAAA", "values=maybe", "require=some",
        ])
        func badParametersAreRefused(query: String) throws {
            expectProblem(try SharedNode.client().list(kind, query), "bad-request", positioned: false)
        }

        @Test(arguments: ["limit=1", "limit=1000"])
        func soundLimitsAreAccepted(query: String) throws {
            #expect(try SharedNode.client().list(kind, query).status == 200)
        }

        @Test(arguments: ["K", "-k", "k!", String(repeating: "k", count: 65)])
        func badKindsAreRefused(kind: String) throws {
            expectProblem(try SharedNode.client().send("GET", "/v1/entities/\(kind)"), "bad-key")
        }

        /// Entities that stay are listed exactly once while others come and go around them.
        @Test func whatStaysIsListedOnceWhileOthersComeAndGo() throws {
            let staying = try fill(400, prefix: "stays")
            let scanning = Mutex(true)
            let kind = kind
            let found = try onThreads(3) { index -> [String] in
                let client = try SharedNode.client()
                guard index == 0 else {
                    var round = 0
                    while scanning.withLock({ $0 }) {
                        round += 1
                        try client.put("\(kind)/passes-\(index)-\(round % 40)", "x")
                        try client.put("\(kind)/stays-\(round % 400)", #"{"round":\#(round)}"#)
                        try client.delete("\(kind)/passes-\(index)-\((round + 20) % 40)")
                    }
                    return []
                }
                defer { scanning.withLock { $0 = false } }
                return try (0..<3).flatMap { _ in
                    try client.listAll(kind, limit: 17).compactMap { $0["key"] as? String }
                }
            }[0]
            let counts = Dictionary(grouping: found.filter { staying.contains($0) }) { $0 }.mapValues(\.count)
            #expect(counts.count == 400 && counts.values.allSatisfy { $0 == 3 })
        }
    }
}
