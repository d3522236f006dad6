import AsyncHTTPClient
import NIOCore
import NIOHTTP1

extension Keystead {
    /// Runs operations as they come and answers them in their order, in bounded memory however many there are.
    ///
    /// A batch saves round trips and nothing more: each operation is atomic, the batch is not; operations on one entity
    /// keep their order. Nothing is sent again: where the connection breaks, the sequence throws, and every operation
    /// that has not been answered by then may or may not have happened. The request goes out when the answers are first
    /// asked for, and can be made once.
    public func batch<Operations: AsyncSequence & Sendable>(
        _ operations: Operations
    ) -> BatchAnswers<Operations> where Operations.Element == BatchOperation {
        BatchAnswers(client: self, operations: operations)
    }

    /// Runs a few operations and gives one answer for each, in their order.
    ///
    /// It throws only where nothing was done: no endpoint can be reached, or the server refuses the batch as a whole.
    /// An operation whose answer did not come has an ``BatchAnswer/error`` that says `applied: .unknown`.
    public func batch(
        _ operations: [BatchOperation], deadline: Duration? = nil
    ) async throws(KeysteadError) -> [BatchAnswer] {
        guard !operations.isEmpty else { return [] }
        var body: [UInt8] = []
        for operation in operations { operation.appendLine(to: &body) }
        var request = batchRequest
        request.body = ByteBuffer(bytes: body)
        request.keepsPartialBody = true
        let lost: KeysteadError
        var answers: [BatchAnswer] = []
        do throws(KeysteadError) {
            let answer = try await call(request, to: data, repetition: .bare, deadline: deadline).answer
            for line in answer.body.split(separator: 0x0A).prefix(operations.count) {
                guard let read = BatchAnswer(line: line) else { break }
                answers.append(read)
            }
            lost =
                answer.cut
                ?? .afterSending(.connectionLost, "the batch ended before this line was answered", isWrite: true)
        } catch {
            guard error.applied == .unknown else { throw error }
            lost = error
        }
        for operation in operations.dropFirst(answers.count) {
            var error = lost
            if !operation.isWrite { (error.applied, error.retry) = (.no, .safe) }
            answers.append(BatchAnswer(unanswered: error))
        }
        return answers
    }

    /// The name that the cluster has for ever, other than every other cluster's, as its data listeners tell it; `nil`
    /// where the server does not say. A node that is not overloaded answers this at once, whatever it does besides.
    ///
    /// - Parameter attemptDeadline: for one endpoint's answer; `nil` is that of the configuration.
    public func clusterID(
        deadline: Duration? = nil, attemptDeadline: Duration? = nil
    ) async throws(KeysteadError) -> String? {
        var request = batchRequest
        // A batch of no line: it changes nothing, and needs no right but to be there.
        request.body = ByteBuffer(string: "\n")
        request.isWrite = false
        let answer = try await call(
            request, to: data, repetition: .harmless, deadline: deadline, attemptDeadline: attemptDeadline
        ).answer
        return answer.headers.first(name: "Keystead-Cluster")
    }

    var batchRequest: OutgoingRequest {
        OutgoingRequest(
            method: .POST, path: "/v1/batch", headers: ["Content-Type": "application/x-ndjson"], isWrite: true)
    }
}

/// The answers of a streamed batch.
public struct BatchAnswers<Operations: AsyncSequence & Sendable>: AsyncSequence
where Operations.Element == BatchOperation {
    public typealias Element = BatchAnswer
    public typealias Failure = KeysteadError

    let client: Keystead
    let operations: Operations

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(client: client, operations: operations) }

    public struct AsyncIterator: AsyncIteratorProtocol {
        private let client: Keystead
        private let operations: Operations
        private var body: HTTPClientResponse.Body.AsyncIterator?
        private var lines = LineSplitter(lineBytesMax: batchLineBytesMax)
        private var isAtEnd = false

        init(client: Keystead, operations: Operations) {
            self.client = client
            self.operations = operations
        }

        /// Throws once, after which the sequence is at its end.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(KeysteadError) -> BatchAnswer? {
            guard !isAtEnd else { return nil }
            do throws(KeysteadError) {
                if let answer = try await nextAnswer(isolation: actor) { return answer }
            } catch {
                isAtEnd = true
                throw error
            }
            isAtEnd = true
            return nil
        }

        private mutating func nextAnswer(
            isolation actor: isolated (any Actor)?
        ) async throws(KeysteadError) -> BatchAnswer? {
            if body == nil { body = try await client.openBatch(operations) }
            while true {
                switch lines.next() {
                case .line(let line):
                    guard !line.isEmpty else { continue }
                    guard let answer = BatchAnswer(line: line) else {
                        throw .malformed("a line that answers nothing", isWrite: true)
                    }
                    return answer
                case .tooLong: throw .malformed("an answer longer than any state can be", isWrite: true)
                case .needsMore:
                    guard let bytes = try await client.nextBytes(&body, isolation: actor) else { return nil }
                    lines.append(bytes.readableBytesView)
                }
            }
        }
    }
}

/// An answer line beyond this is none: the largest state (16 MiB), every byte of it escaped.
private let batchLineBytesMax = 128 << 20

extension Keystead {
    /// Sends the head and begins the body; falls over to the next endpoint while nothing has been sent.
    func openBatch<Operations: AsyncSequence & Sendable>(
        _ operations: Operations
    ) async throws(KeysteadError) -> HTTPClientResponse.Body.AsyncIterator
    where Operations.Element == BatchOperation {
        let body = operations.map { operation in
            var line: [UInt8] = []
            operation.appendLine(to: &line)
            return ByteBuffer(bytes: line)
        }
        var attemptsLeft = data.count
        while true {
            guard let endpoint = data.url else { preconditionFailure("a client has at least one endpoint") }
            attemptsLeft -= 1
            do throws(KeysteadError) {
                let response = try await transport.stream(batchRequest, body: body, to: endpoint)
                guard response.status == .ok else { throw await transport.refusal(response) }
                return response.body.makeAsyncIterator()
            } catch  where error.code == .unreachable && attemptsLeft > 0 {
                data.moveOn(from: endpoint)
            }
        }
    }

    func nextBytes(
        _ body: inout HTTPClientResponse.Body.AsyncIterator?, isolation actor: isolated (any Actor)?
    ) async throws(KeysteadError) -> ByteBuffer? {
        do {
            return try await body?.next(isolation: actor)
        } catch {
            throw Transport.failure(error, endpoint: data.url ?? "", isWrite: true)
        }
    }
}
