import ClusterCore
import Foundation
import Testing

@testable import ClusterMetadata

/// What needs no etcd: texts, messages, and what errors mean.
@Suite struct EtcdValueTests {
    @Test func locationsAreRead() throws {
        let location = try EtcdLocation("etcds://a.example:2379,10.0.0.1:1,[::1]:65535")
        #expect(location.isTLS)
        #expect(location.endpoints.map(\.host) == ["a.example", "10.0.0.1", "::1"])
        #expect(location.endpoints.map(\.port) == [2379, 1, 65535])
        #expect(location.description == "etcds://a.example:2379,10.0.0.1:1,[::1]:65535")
        #expect(try !EtcdLocation("etcd://a:1").isTLS)
    }

    @Test(arguments: [
        "", "embedded", "http://a:1", "etcd://", "etcd://a", "etcd://a:", "etcd://:1", "etcd://a:0", "etcd://a:65536",
        "etcd://a:+1", "etcd://a:1,", "etcd://a:1,a:1", "etcd://a:1/b", "etcd://u:p@a:1", "etcd://::1:1",
        "etcd://[a]:1",
        "etcd://[::1:1", "etcd://a b:1", "etcd://" + (1...17).map { "a:\($0)" }.joined(separator: ","),
    ])
    func otherTextsAreRefused(text: String) {
        let error = #expect(throws: EtcdLocationError.self) { try EtcdLocation(text) }
        #expect(error?.description.contains("'\(text)' is not a place of etcd") == true)
    }

    @Test(arguments: [
        ("3.3.27", false), ("3.4.23", false), ("3.4.41", false), ("3.4.42", true), ("3.5.27", false), ("3.5.28", true),
        ("3.6.8", false), ("3.6.9", true), ("3.6.9-rc.1", true), ("3.7.0", true), ("4.0.0", true), ("2.9.9", false),
    ])
    func versionsAreJudged(text: String, isSound: Bool) throws {
        #expect(try #require(EtcdVersion(text)).isSound == isSound)
    }

    @Test func onlyWhatEtcdRefusesBeforeItActsHadNoEffect() {
        func effect(_ code: Int, _ message: String) -> EtcdFailure.Effect {
            EtcdFailure.refused(code: code, message: message, by: "a:1").effect
        }
        #expect(effect(14, "etcdserver: no leader") == .none)
        #expect(effect(8, "etcdserver: too many requests") == .none)
        #expect(effect(8, "etcdserver: mvcc: database space exceeded") == .unknown, "it applies what fills it")
        #expect(effect(7, "etcdserver: permission denied") == .none)
        #expect(effect(16, "etcdserver: invalid auth token") == .none)
        #expect(effect(14, "etcdserver: request timed out") == .unknown)
        #expect(effect(14, "etcdserver: request timed out, possibly due to connection lost") == .unknown)
        #expect(effect(14, "etcdserver: leader changed") == .unknown)
        #expect(effect(14, "etcdserver: server stopped") == .unknown)
        #expect(effect(14, "transport is closing") == .unknown)
        #expect(effect(8, "grpc: received message larger than max") == .unknown)
        #expect(effect(2, "context deadline exceeded") == .unknown)
    }

    @Test func linesAreCutWhereverTheyAreDivided() throws {
        let text = Array("one\n\ntwo and more\nthree".utf8)
        for size in 1...text.count {
            var lines = BoundedLines(bytesMax: 12)
            var found: [[UInt8]] = []
            for start in stride(from: 0, to: text.count, by: size) {
                let taken = lines.take(text[start..<min(start + size, text.count)])
                found += try #require(taken)
            }
            #expect(found.map { String(decoding: $0, as: UTF8.self) } == ["one", "", "two and more"], "\(size)")
        }
        var short = BoundedLines(bytesMax: 3)
        let partial = short.take(Array("1234".utf8))
        #expect(partial == nil)
        short = BoundedLines(bytesMax: 3)
        let whole = short.take(Array("1234\n".utf8))
        #expect(whole == nil)
    }

    // MARK: Watches

    private let keyspace = EtcdKeyspace(cluster: "c")

    private func answer(_ text: String) throws -> WatchAnswer {
        try JSONDecoder().decode(WatchAnswer.self, from: Data(text.utf8))
    }

    private func event(_ key: String, _ revision: Int, type: String = "") -> String {
        let stored = Data("/keystead/c/\(key)".utf8).base64EncodedString()
        return #"{"type":"\#(type)","kv":{"key":"\#(stored)","mod_revision":"\#(revision)","value":"AQ=="}}"#
    }

    private func take(_ assembler: inout EtcdWatchAssembler, _ events: [String], fragment: Bool = false) throws
        -> [String]
    {
        let text = #"{"header":{"revision":"99"},"fragment":\#(fragment),"events":[\#(events.joined(separator: ","))]}"#
        guard case .changes(let changes) = try assembler.take(answer(text)) else { return ["other"] }
        return changes.map { "\($0.revision):" + $0.events.map(\.key.text).joined(separator: "+") }
    }

    @Test func eventsAreGroupedByRevision() throws {
        var assembler = EtcdWatchAssembler(keyspace: keyspace, after: MetadataRevision(4))
        #expect(
            try take(&assembler, [event("b", 5), event("a", 5), event("a", 7, type: "DELETE")]) == ["5:a+b", "7:a"])
        #expect(assembler.last == MetadataRevision(7))
        #expect(try take(&assembler, [event("a", 7), event("a", 5)]) == [], "nothing comes twice")
        #expect(try take(&assembler, []) == [], "a sign of life moves nothing")
        #expect(assembler.last == MetadataRevision(7))
    }

    @Test func fragmentsAreJoined() throws {
        var assembler = EtcdWatchAssembler(keyspace: keyspace, after: .zero)
        #expect(try take(&assembler, [event("a", 1), event("a", 2)], fragment: true) == ["1:a"])
        #expect(try take(&assembler, [event("b", 2)], fragment: true) == [])
        #expect(assembler.last == MetadataRevision(1))
        #expect(try take(&assembler, [event("c", 2), event("a", 3)]) == ["2:a+b+c", "3:a"])
        #expect(try take(&assembler, [event("a", 4)], fragment: true) == [])
        assembler.disconnect()
        #expect(try take(&assembler, [event("a", 4), event("b", 4)]) == ["4:a+b"], "half a revision comes again whole")
    }

    @Test func endsAreTold() throws {
        var assembler = EtcdWatchAssembler(keyspace: keyspace, after: .zero)
        #expect(
            try assembler.take(answer(#"{"header":{"revision":"3"},"created":true}"#))
                == .created(at: MetadataRevision(3)))
        #expect(
            try assembler.take(answer(#"{"canceled":true,"compact_revision":"12"}"#))
                == .compacted(oldest: MetadataRevision(12)))
        #expect(
            try assembler.take(answer(#"{"created":true,"canceled":true,"cancel_reason":"denied"}"#))
                == .cancelled("denied"))
    }

    @Test func numbersAreReadAsEtcdWritesThem() throws {
        func number(_ text: String) throws -> UInt64 {
            try JSONDecoder().decode([WideNumber].self, from: Data("[\(text)]".utf8))[0].value
        }
        #expect(try number(#""9223372036854775807""#) == UInt64(Int64.max))
        #expect(try number(#""18446744073709551615""#) == .max)
        #expect(try number(#""-1""#) == .max)
        #expect(try number("7") == 7)
        #expect(throws: (any Error).self) { try number(#""7 ""#) }
    }
}
