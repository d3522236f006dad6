import Foundation
import Primitives

/// One caller of a cluster: a connection to some node, and another to another node when that one is lost.
final class LoadClient {
    /// Longer than any node takes to say that it does not know.
    static let patienceSeconds = 40.0
    /// How many requests one connection is used for.
    private static let requestsPerConnection = 100

    /// How a request ended for a caller that has no answer.
    enum Failure: Error {
        /// Nothing was sent.
        case notSent(String)
        /// It was sent, and what became of it is not known.
        case lost(String)
    }

    private let endpoints: @Sendable () -> [Endpoint]
    private var generator: SplitMix64
    private var connection: EntityClient?
    private var requestsLeft = 0
    private(set) var endpoint: Endpoint

    init(_ endpoints: @escaping @Sendable () -> [Endpoint], _ generator: SplitMix64) throws {
        self.endpoints = endpoints
        self.generator = generator
        guard let first = endpoints().first else { throw HarnessError("no node runs") }
        endpoint = first
    }

    /// One request, of any node.
    func send(
        _ method: String, _ target: String, _ fields: [(String, String)] = [], body: [UInt8]? = nil
    ) throws(Failure) -> HTTPAnswer {
        let client = try connected()
        requestsLeft -= 1
        do {
            try client.connection.send(EntityClient.request(method, target, fields, body: body))
            return try client.connection.answer(toHead: method == "HEAD", seconds: Self.patienceSeconds)
        } catch {
            connection = nil
            throw .lost(error is ConnectionClosed ? "connection lost" : "\(error)")
        }
    }

    /// Goes to another node with the next request.
    func turnAway() { connection = nil }

    private func connected() throws(Failure) -> EntityClient {
        if let connection, requestsLeft > 0 { return connection }
        connection = nil
        let all = endpoints()
        guard !all.isEmpty else { throw .notSent("no node runs") }
        endpoint = all[generator.below(all.count)]
        do {
            let client = try endpoint.client()
            (connection, requestsLeft) = (client, Self.requestsPerConnection)
            return client
        } catch {
            throw .notSent("cannot connect")
        }
    }
}
