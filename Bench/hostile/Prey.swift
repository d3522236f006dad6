/// What the node holds before the swarm comes: states for the attacks to be aimed at.
enum Prey {
    /// Large texts, for answers that nobody reads.
    static let bulky = (0..<16).map { "bulk/\($0)" }
    static let bulkyBytes = 900_000
    /// A document of a megabyte, for patches that touch little of it.
    static let document = "doc/large"
    /// A number of a megabyte.
    static let number = "doc/number"
    /// An array of half a million elements.
    static let array = "doc/array"

    static func load(into ports: Ports) throws {
        for key in bulky { try put(key, [UInt8](repeating: 0x61, count: bulkyBytes), "text/plain", ports) }
        let members = (0..<40_000).map { "\"member-\($0)\":\($0)" }.joined(separator: ",")
        try put(document, Array("{\(members)}".utf8), "application/json", ports)
        try put(number, Array("{\"n\":\(String(repeating: "1", count: 1_000_000))}".utf8), "application/json", ports)
        let zeros = String(repeating: "0,", count: 400_000)
        try put(array, Array("[\(zeros)0]".utf8), "application/json", ports)
    }

    private static func put(_ key: String, _ state: [UInt8], _ type: String, _ ports: Ports) throws {
        guard let socket = HostileSocket(port: ports.client) else { throw HostileError("cannot reach the node") }
        socket.send(
            "PUT /v1/entities/\(key) HTTP/1.1\r\nHost: localhost\r\nContent-Type: \(type)\r\n"
                + "Content-Length: \(state.count)\r\nConnection: close\r\n\r\n")
        socket.send(state)
        let answer = socket.read(upTo: 4096, seconds: 30)
        guard answer.starts(with: Array("HTTP/1.1 204".utf8)) else {
            throw HostileError("PUT \(key) was answered \(String(decoding: answer.prefix(300), as: UTF8.self))")
        }
    }
}
