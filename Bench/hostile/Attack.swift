/// The ways of a hostile client, each over one connection of its own.
enum Attack: String, CaseIterable {
    // Connections and time
    case idle, slowHead, slowBody, reset, manyShort
    // Memory
    case unreadLists, unreadGets, unreadBatch, unreadPatches, unfinishedBody, hugeChunk, unreadAdmin
    // Work
    case numberConditions, arrayInserts, arrayCopies, tinyMerges, emptyLists, abandonedLists
    // Strangers and other doors
    case foreignSite, mangledHead, peerNoise, peerShards, peerUnfinishedFrame, adminNoise
    // Rows of an entity
    case idempotencyKeys
}

extension Attacker {
    /// Carries out one attack; false where there was no connection to be had.
    mutating func run(_ attack: Attack) -> Bool {
        switch attack {
        case .idle: onClient { attacker, _ in attacker.pause(milliseconds: 3000) }
        case .slowHead: onClient { $0.slowHead($1) }
        case .slowBody: onClient { $0.slowBody($1) }
        case .reset: onClient { $0.abandon($1) }
        case .manyShort: manyShort()
        case .unreadLists: unread(16, { _ in "GET /v1/entities/bulk?values=true&limit=1000" })
        case .unreadGets: unread(64, { "GET /v1/entities/" + $0.pick(Prey.bulky) })
        case .unreadBatch: unreadBatch()
        case .unreadPatches: onClient { $0.unreadPatches($1) }
        case .unfinishedBody: onClient { $0.unfinishedBody($1) }
        case .hugeChunk: onClient { $0.hugeChunk($1) }
        case .unreadAdmin: unreadAdmin()
        case .numberConditions: onClient { $0.numberConditions($1) }
        case .arrayInserts: onClient { $0.arrayEdits($1, #"{"op":"add","path":"/0","value":0}"#) }
        case .arrayCopies: onClient { $0.arrayEdits($1, #"{"op":"copy","from":"","path":"/-"}"#) }
        case .tinyMerges: onClient { $0.tinyMerges($1) }
        case .emptyLists: emptyLists(leavesAfter: 20_000)
        case .abandonedLists: emptyLists(leavesAfter: 50)
        case .foreignSite: onClient { $0.foreignSite($1) }
        case .mangledHead: onClient { $0.mangledHead($1) }
        case .peerNoise: onPeer { $0.peerNoise($1) }
        case .peerShards: onPeer { $0.peerShards($1) }
        case .peerUnfinishedFrame: onPeer { $0.peerUnfinishedFrame($1) }
        case .adminNoise: adminNoise()
        case .idempotencyKeys: onClient { $0.idempotencyKeys($1) }
        }
    }

    private mutating func onClient(_ body: (inout Attacker, HostileSocket) -> Void) -> Bool {
        on(target.ports.client, body)
    }

    private mutating func on(
        _ port: UInt16, receiveBytes: Int32? = nil, _ body: (inout Attacker, HostileSocket) -> Void
    ) -> Bool {
        guard let socket = HostileSocket(port: port, receiveBytes: receiveBytes) else { return false }
        body(&self, socket)
        return true
    }

    // MARK: Connections and time

    private mutating func slowHead(_ socket: HostileSocket) {
        for byte in "GET /v1/entities/k/slow HTTP/1.1\r\nHost: localhost".utf8 {
            guard !isOver, socket.send([byte]) else { return }
            pause(milliseconds: 300)
        }
    }

    private mutating func slowBody(_ socket: HostileSocket) {
        socket.send("PUT /v1/entities/k/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        for _ in 0..<100 {
            guard !isOver, socket.send([UInt8](repeating: 0x62, count: 100)) else { return }
            pause(milliseconds: 200)
        }
    }

    /// A request, or part of one, and then a reset.
    private mutating func abandon(_ socket: HostileSocket) {
        let request = "PUT /v1/entities/k/reset HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"
        socket.send(Array(request.utf8.prefix(Int(below(UInt64(request.utf8.count))) + 1)))
        socket.reset()
    }

    private mutating func manyShort() -> Bool {
        for _ in 0..<20 where !isOver {
            guard let socket = HostileSocket(port: target.ports.client) else { return false }
            socket.send("GET /v1/entities/k/none HTTP/1.0\r\n\r\n")
            _ = socket.read(upTo: 4096, seconds: 0.5)
        }
        return true
    }

    // MARK: Memory

    /// Requests without end, and no answer read.
    private mutating func unread(_ count: Int, _ line: (inout Attacker) -> String) -> Bool {
        var text = ""
        for _ in 0..<count { text += line(&self) + " HTTP/1.1\r\nHost: localhost\r\n\r\n" }
        return on(target.ports.client, receiveBytes: 4096) { attacker, socket in
            socket.send(text)
            attacker.pause(milliseconds: 4000)
        }
    }

    private mutating func unreadBatch() -> Bool {
        var lines = ""
        for _ in 0..<200 { lines += #"{"op":"get","key":"\#(pick(Prey.bulky))"}"# + "\n" }
        return on(target.ports.client, receiveBytes: 4096) { attacker, socket in
            socket.send(
                "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(lines.utf8.count)\r\n\r\n" + lines)
            attacker.pause(milliseconds: 4000)
        }
    }

    private mutating func unreadPatches(_ socket: HostileSocket) {
        let document = #"{"hit":\#(below(1000))}"#
        for _ in 0..<8 {
            socket.send(
                "PATCH /v1/entities/\(Prey.document) HTTP/1.1\r\nHost: localhost\r\nPrefer: return=representation\r\n"
                    + "Content-Type: application/merge-patch+json\r\nContent-Length: \(document.utf8.count)\r\n\r\n"
                    + document)
        }
        pause(milliseconds: 4000)
    }

    /// All of a large body but its last byte.
    private mutating func unfinishedBody(_ socket: HostileSocket) {
        let expects = below(2) == 0
        socket.send(
            "PUT /v1/entities/k/unfinished HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n"
                + (expects ? "Expect: 100-continue\r\n" : "") + "\r\n")
        if expects { _ = socket.read(upTo: 4096, seconds: 1) }
        for _ in 0..<15 {
            guard !isOver, socket.send([UInt8](repeating: 0x63, count: 65_536)) else { return }
        }
        pause(milliseconds: 4000)
    }

    private mutating func hugeChunk(_ socket: HostileSocket) {
        let size = pick(["FFFFFFFFFFFFFFFF", "7FFFFFFFFFFFFFFF", "100000001", "fffffff", "00000000000000000001"])
        socket.send(
            "PUT /v1/entities/k/chunk HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\(size)\r\n")
        socket.send([UInt8](repeating: 0x64, count: 200_000))
        socket.drain(seconds: 0.5)
    }

    private mutating func unreadAdmin() -> Bool {
        let path = pick(["/metrics", "/v1/cluster", "/v1/shards/0"])
        return on(target.ports.admin, receiveBytes: 4096) { attacker, socket in
            for _ in 0..<64 { socket.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n") }
            attacker.pause(milliseconds: 3000)
        }
    }

    // MARK: Work

    private func patch(_ socket: HostileSocket, _ key: String, _ type: String, _ document: String) {
        socket.send(
            "PATCH /v1/entities/\(key) HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(type)\r\n"
                + "Content-Length: \(document.utf8.count)\r\n\r\n")
        socket.send(document)
    }

    private mutating func numberConditions(_ socket: HostileSocket) {
        let condition = pick([#"{"at":"/n","gt":0}"#, #"{"at":"/n","ne":7}"#])
        let many = repeatElement(condition, count: 9_999).joined(separator: ",")
        patch(socket, Prey.number, "application/vnd.keystead.update+json", #"{"if":[\#(many)],"do":[]}"#)
        _ = socket.read(upTo: 4096, seconds: 5)
    }

    private mutating func arrayEdits(_ socket: HostileSocket, _ operation: String) {
        let many = repeatElement(operation, count: 5_000).joined(separator: ",")
        patch(socket, Prey.array, "application/json-patch+json", "[\(many)]")
        _ = socket.read(upTo: 4096, seconds: 5)
    }

    private mutating func tinyMerges(_ socket: HostileSocket) {
        for _ in 0..<20 {
            patch(socket, Prey.document, "application/merge-patch+json", #"{"hit":\#(below(1000))}"#)
        }
        socket.drain(seconds: 2)
    }

    /// Lists that look at every row and match none.
    private mutating func emptyLists(leavesAfter milliseconds: Int) -> Bool {
        on(target.ports.client) { attacker, socket in
            for _ in 0..<16 {
                let prefix = "none-\(attacker.below(100))"
                socket.send("GET /v1/entities/zz?prefix=\(prefix) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            }
            if milliseconds < 1000 {
                attacker.pause(milliseconds: milliseconds)
            } else {
                socket.drain(seconds: 2)
            }
        }
    }

    // MARK: Strangers and other doors

    private mutating func foreignSite(_ socket: HostileSocket) {
        let line = #"{"op":"delete","key":"bench/1"}"# + "\n"
        let field = pick([
            "Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
        ])
        socket.send(
            "POST /v1/batch HTTP/1.1\r\nHost: localhost\r\n\(field)\r\nContent-Type: text/plain\r\n"
                + "Content-Length: \(line.utf8.count)\r\n\r\n" + line)
        socket.drain(seconds: 0.5)
    }

    /// A sound request with some of its bytes changed.
    private mutating func mangledHead(_ socket: HostileSocket) {
        var bytes = Array(
            ("PUT /v1/entities/k/mangled HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
                + "If-Match: \"1\"\r\n\r\nhello").utf8)
        for _ in 0...below(4) { bytes[Int(below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: word()) }
        socket.send(bytes)
        socket.drain(seconds: 0.5)
    }

    private mutating func adminNoise() -> Bool {
        let path = pick([
            "//v1/cluster", "/v1/shards/4294967296", "/v1/shards/+1", "/v1/shards/0x10", "/v1/where/k/", "/v1/where/",
            "/v1/admin/nodes/n1/weight?weight=1e99", "/v1/operations/%00", "/v1/admin/throttle?bytes-per-second=-1",
        ])
        return on(target.ports.admin) { _, socket in
            for method in ["GET", "POST"] {
                socket.send("\(method) \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            }
            socket.drain(seconds: 0.5)
        }
    }

    private mutating func idempotencyKeys(_ socket: HostileSocket) {
        for _ in 0..<100 where !isOver {
            socket.send(
                "PUT /v1/entities/k/keyed HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k\(word())\r\n"
                    + "Content-Length: 1\r\n\r\nx")
        }
        socket.drain(seconds: 1)
    }

    // MARK: Peers

    private mutating func onPeer(_ body: (inout Attacker, HostileSocket) -> Void) -> Bool {
        on(target.ports.peer, body)
    }

    /// Bytes of chance, sometimes behind a sound hello.
    private mutating func peerNoise(_ socket: HostileSocket) {
        if below(2) == 0 { _ = greet(socket) }
        let noise = bytes(Int(below(2000)))
        let type = UInt8(truncatingIfNeeded: word())
        socket.send(below(2) == 0 ? noise : PeerFrames.frame(type: type, id: 1, body: noise))
        socket.drain(seconds: 0.5)
    }

    /// Requests of each type about shards that are not there, with numbers at their bounds.
    private mutating func peerShards(_ socket: HostileSocket) {
        guard greet(socket) else { return }
        for id in 1...20 {
            let type = pick([0x10, 0x11, 0x12, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25] as [UInt8])
            var body: [UInt8] = []
            for _ in 0..<(2 + below(8)) {
                let number = pick([0, 1, 63, 64, 4096, UInt64(UInt32.max), UInt64.max, word()] as [UInt64])
                let width = pick([1, 2, 4, 8] as [Int])
                withUnsafeBytes(of: number.littleEndian) { body += $0.prefix(width) }
            }
            socket.send(PeerFrames.frame(type: type, id: UInt64(id), body: body))
        }
        socket.drain(seconds: 1)
    }

    /// A frame that is said to be long and does not come.
    private mutating func peerUnfinishedFrame(_ socket: HostileSocket) {
        guard greet(socket) else { return }
        socket.send(PeerFrames.header(bodyBytes: 25 << 20, id: 1, type: 0x10))
        for _ in 0..<40 {
            guard !isOver, socket.send([UInt8](repeating: 0, count: 65_536)) else { return }
        }
        pause(milliseconds: 4000)
    }

    private func greet(_ socket: HostileSocket) -> Bool {
        socket.send(PeerFrames.hello(of: target.identity))
        return !socket.read(upTo: 512, seconds: 1).isEmpty
    }
}
