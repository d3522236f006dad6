import Entities
import Primitives
import Testing

@testable import HTTPFront

/// A chunk says its size before its bytes: what is too large by that alone is refused there.
@Suite struct ChunkSizeTests {
    private func chunked(_ line: String) -> String {
        "\(line) HTTP/1.1\r\nHost: h\r\nContent-Type: application/merge-patch+json\r\n"
            + "Transfer-Encoding: chunked\r\n\r\n"
    }

    @Test(arguments: [
        "PUT /v1/entities/k/a", "PATCH /v1/entities/k/a", "GET /v1/entities/k/a", "DELETE /v1/entities/k/a",
    ])
    func tooLargeByItsSizeAlone(line: String) throws {
        for size in [
            "65", "00000000000000000065", "100000001", "7FFFFFFFFFFFFFFF", "8000000000000000", "FFFFFFFFFFFFFFFF",
            "10000000000000003", String(repeating: "f", count: 100),
        ] {
            let front = try FrontChannel()
            front.backend.limits.entityBytesMax = 100
            let response = try front.ask(chunked(line) + "\(size)\r\n")
            #expect(response.status == 413 && response.text.contains("entity-too-large"), "\(size)")
            #expect(response["Connection"] == "close" && response["Keystead-Position"] == "3:100")
            #expect(front.backend.writes.isEmpty)
        }
    }

    @Test func chunksCountTogether() throws {
        let front = try FrontChannel()
        front.backend.limits.entityBytesMax = 100
        let whole = String(repeating: "x", count: 100)
        #expect(try front.ask(chunked("PUT /v1/entities/k/a") + "64\r\n\(whole)\r\n0\r\n\r\n").status == 204)
        try front.send(chunked("PUT /v1/entities/k/a") + "64\r\n\(whole)\r\n")
        #expect(try front.takeResponses().isEmpty)
        #expect(try front.ask("1\r\n").status == 413)
    }

    /// A batch has no limit, and so its chunks have next to none.
    @Test func batchesTakeLargeChunks() throws {
        let line = #"{"op":"get","key":"k/a"}"# + "\n"
        let front = try FrontChannel()
        try front.send(chunked("POST /v1/batch") + "100000000\r\n" + line)
        #expect(front.backend.reads.count == 1)

        let untouched = try FrontChannel()
        #expect(try untouched.ask(chunked("POST /v1/batch") + "100000001\r\n").status == 413)

        let begun = try FrontChannel()
        let first = String(line.utf8.count, radix: 16) + "\r\n\(line)\r\n"
        let response = try begun.ask(chunked("POST /v1/batch") + first + "FFFFFFFFFFFFFFFFF\r\n")
        let statuses = response.text.split(separator: "\n").map { $0.prefix(13) }
        #expect(response.status == 200 && statuses == [#"{"status":404"#, #"{"status":413"#])
    }

    /// What is left of a refused body is dropped within bounds.
    @Test func aRefusedRequestsChunksAreBounded() throws {
        let front = try FrontChannel()
        #expect(try front.ask(chunked("PUT /v1/entities/k/%FF")).status == 400)
        try front.send("100001\r\n")
        #expect(try front.takeResponses().isEmpty && !front.isOpen)
    }
}
