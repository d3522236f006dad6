internal import AsyncHTTPClient
internal import ClusterCore
internal import FoundationEssentials
internal import NIOCore
internal import Primitives
internal import Synchronization

/// One watch, for as long as somebody reads it: connects, gives changes on, connects again.
struct EtcdWatch: Sendable {
    typealias Continuation = AsyncThrowingStream<MetadataChange, any Error>.Continuation

    let transport: EtcdTransport
    let keyspace: EtcdKeyspace
    let prefix: MetadataKey
    let after: MetadataRevision
    let continuation: Continuation

    init(
        transport: EtcdTransport, keyspace: EtcdKeyspace, prefix: MetadataKey, after: MetadataRevision,
        continuation: Continuation
    ) {
        self.transport = transport
        self.keyspace = keyspace
        self.prefix = prefix
        self.after = after
        self.continuation = continuation
    }

    /// Why one connection ended.
    private enum End {
        /// The watch is over.
        case final(MetadataError)
        /// etcd, not the network, ended it.
        case refused(String)
        case disconnected
    }

    /// What the reader of a connection and the guard beside it share.
    private final class Progress: Sendable {
        private struct State {
            var assembler: EtcdWatchAssembler
            var heard: ContinuousClock.Instant
        }

        private let state: Mutex<State>

        init(_ assembler: EtcdWatchAssembler, now: ContinuousClock.Instant) {
            state = Mutex(State(assembler: assembler, heard: now))
        }

        var heard: ContinuousClock.Instant { state.withLock { $0.heard } }
        var last: MetadataRevision { state.withLock { $0.assembler.last } }

        func hear(_ now: ContinuousClock.Instant) { state.withLock { $0.heard = now } }
        func take(_ answer: WatchAnswer) -> EtcdWatchAssembler.Step { state.withLock { $0.assembler.take(answer) } }
        func disconnect() { state.withLock { $0.assembler.disconnect() } }
    }

    func run() async {
        let progress = Progress(EtcdWatchAssembler(keyspace: keyspace, after: after), now: transport.clock.now)
        var failures = 0
        var refusals = 0
        while !Task.isCancelled {
            let endpoint = transport.preferred
            let before = progress.last
            progress.hear(transport.clock.now)
            let end = await connection(to: endpoint, progress)
            progress.disconnect()
            if transport.isClosed { return continuation.finish(throwing: MetadataError.closed) }
            if progress.last > before { (failures, refusals) = (0, 0) }
            switch end {
            case .final(let error): return continuation.finish(throwing: error)
            case .disconnected: break
            case .refused(let reason):
                refusals += 1
                // etcd says of an old token that the watch is not permitted.
                transport.forgetToken()
                guard refusals < Limits.etcdWatchRefusalsMax else {
                    return continuation.finish(throwing: MetadataError.unavailable(detail: reason))
                }
            }
            transport.leave(endpoint)
            failures += 1
            guard failures % transport.endpoints.count == 0 else { continue }
            let pause = EtcdTransport.pause(afterRounds: failures / transport.endpoints.count)
            try? await Task.sleep(for: pause, clock: .continuous)
        }
    }

    /// Reads one connection, while a guard beside it looks whether a silent endpoint still lives. A stopped process and
    /// a cut network look like a quiet watch.
    private func connection(to endpoint: Int, _ progress: Progress) async -> End {
        await withTaskGroup(of: End.self) { group in
            group.addTask { await read(endpoint, progress) }
            group.addTask { await guardAgainstSilence(of: endpoint, progress) }
            defer { group.cancelAll() }
            return await group.next() ?? .disconnected
        }
    }

    private func guardAgainstSilence(of endpoint: Int, _ progress: Progress) async -> End {
        let silence = Duration.milliseconds(Limits.etcdWatchSilenceMilliseconds)
        while true {
            let heard = progress.heard
            let wait = silence - (transport.clock.now - heard)
            do { try await Task.sleep(for: max(wait, Duration.zero), clock: .continuous) } catch {
                return .disconnected
            }
            guard progress.heard == heard else { continue }
            let status: Result<StatusAnswer, EtcdFailure> = await Result { () async throws(EtcdFailure) in
                try await transport.once("maintenance/status", Array("{}".utf8), at: endpoint, within: silence)
            }
            guard case .success = status else { return .disconnected }
            progress.hear(transport.clock.now)
        }
    }

    private func read(_ endpoint: Int, _ progress: Progress) async -> End {
        let request = WatchRequest(
            create_request: .init(
                key: keyspace.stored(prefix), range_end: keyspace.end(of: prefix),
                start_revision: WideNumber(progress.last.next.rawValue)))
        let body: HTTPClientResponse.Body
        do throws(EtcdFailure) {
            body = try await transport.open(
                "watch", request, at: endpoint, within: .milliseconds(Limits.etcdReadMilliseconds))
        } catch {
            return error.remedy == .elsewhere ? .disconnected : .refused(error.detail)
        }
        var lines = BoundedLines(bytesMax: Limits.etcdWatchMessageBytesMax)
        do {
            for try await bytes in body {
                progress.hear(transport.clock.now)
                guard let messages = lines.take(bytes.readableBytesView) else {
                    return .refused("\(transport.endpoints[endpoint]) sent a message of a watch that is too large")
                }
                for message in messages where !message.isEmpty {
                    let answer = try JSONDecoder().decode(StreamAnswer<WatchAnswer>.self, from: Data(message))
                    guard let result = answer.result else { return .disconnected }
                    if let end = await give(progress.take(result), progress) { return end }
                }
            }
        } catch {
            return .disconnected
        }
        return .disconnected
    }

    /// Gives on what a message brought; `nil` where the connection goes on.
    private func give(_ step: EtcdWatchAssembler.Step, _ progress: Progress) async -> End? {
        switch step {
        case .compacted(let oldest): return .final(.compacted(oldest: oldest))
        case .cancelled(let reason): return .refused("etcd ended a watch: \(reason)")
        case .created(let revision):
            return revision < progress.last ? await checkHistory(from: progress.last) : nil
        case .changes(let changes):
            for change in changes {
                switch continuation.yield(change) {
                case .enqueued: continue
                case .dropped: return .final(.compacted(oldest: change.revision.next))
                case .terminated: return .disconnected
                @unknown default: return .disconnected
                }
            }
            return nil
        }
    }

    /// A member that is behind the revision to watch from is late, or etcd has been put back to an older state: then
    /// revisions are used a second time, and the watch would miss them.
    private func checkHistory(from revision: MetadataRevision) async -> End? {
        do throws(EtcdFailure) {
            let answer: RangeAnswer = try await transport.call(
                "kv/range", RangeRequest(key: keyspace.stored(.config), count_only: true), repeating: .always)
            let newest = answer.header.metadataRevision
            return newest < revision ? .final(.compacted(oldest: newest.next)) : nil
        } catch {
            return .disconnected
        }
    }
}
