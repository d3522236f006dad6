internal import Entities
internal import NIOCore
internal import Primitives
internal import Serving

/// The routes of Contract §1: reads a head into work for the backend. Checks go in this order: key, method, fields and
/// query, length, body; the first that fails is the answer.
final class EntityService<Backend: EntityBackend>: RequestService {
    private let backend: Backend

    init(backend: Backend) { self.backend = backend }

    var requestsMayOvertake: Bool { backend.requestsMayOvertake }

    func expectedAnswerBytes(of key: EntityKey) -> Int? { backend.expectedAnswerBytes(of: key) }

    func position(of key: EntityKey) -> ShardPosition? { backend.currentPosition(of: key) }

    func run(_ work: consuming Work, body: consuming [UInt8], replyTo sink: any ConnectionSink, slot: UInt64) {
        let target = ReplyTarget(sink: sink, slot: slot)
        switch consume work {
        case .read(let request): backend.read(request, replyTo: target)
        case .write(let draft): backend.write(draft.operation(body: body), replyTo: target)
        case .list(let request, let shape): backend.list(request, renderer: shape.renderer, replyTo: target)
        case .admin: preconditionFailure("entity routes never admit admin work")
        }
    }

    func callerLeft(_ sink: any ConnectionSink) { backend.callerLeft(sink) }

    func admit(_ head: RequestHead, _ loop: LoopContext) -> Admission {
        guard head.form == .path else {
            return .refuse(Self.wrongMethod("GET, HEAD, PUT, PATCH, DELETE, POST"), .other)
        }
        head.copy(head.path, into: &loop.scratch)
        switch RequestPath(loop.scratch) {
        case .entity(let path): return admitEntity(head, path, loop)
        case .outcome(let path): return admitOutcome(head, path)
        case .collection(let kind): return admitList(head, kind)
        case .batch: return admitBatch(head)
        case .unknown:
            let detail =
                AdminPaths.begins(loop.scratch)
                ? "this is a node's listener for data: ask its admin listener (by default the next port)"
                : "there is nothing at this path; entities are at /v1/entities/KIND/ID"
            return .refuse(Refusal(Problem(.notFound, detail)), .other)
        }
    }

    private static func wrongMethod(_ allow: StaticString) -> Refusal {
        Refusal(Problem(.methodNotAllowed, "the methods allowed here are \(allow)"), allow: allow)
    }

    // MARK: One entity

    private func admitEntity(_ head: RequestHead, _ path: ArraySlice<UInt8>, _ loop: LoopContext) -> Admission {
        let route = Self.route(head.method)
        let key: EntityKey
        do throws(Problem) {
            key = try EntityKey(path: path, seed: backend.ringSeed)
        } catch {
            return .refuse(Refusal(error), route)
        }
        guard route != .other else { return .refuse(Self.wrongMethod("GET, HEAD, PUT, PATCH, DELETE"), .other) }
        do throws(Problem) {
            try Self.checkExpectation(head)
            let work: Work =
                switch head.method {
                case .get, .head: try readWork(head, key, loop)
                case .put: .write(try putDraft(head, key, loop))
                case .patch: .write(try patchDraft(head, key, loop))
                default: .write(try deleteDraft(head, key, loop))
                }
            try checkLength(head)
            if case .write = work, let problem = backend.overload(of: key) { throw problem }
            return .run(work, route, bodyBytesMax: backend.limits.entityBytesMax)
        } catch {
            return .refuse(Refusal(error, position: backend.currentPosition(of: key)), route)
        }
    }

    private static func route(_ method: RequestHead.Method) -> HTTPCounters.Route {
        switch method {
        case .get: .get
        case .head: .head
        case .put: .put
        case .patch: .patch
        case .delete: .delete
        case .post, .options, .connect, .other: .other
        }
    }

    private static func checkExpectation(_ head: RequestHead) throws(Problem) {
        if head.expectation == .other, head.minorVersion >= 1 {
            throw Problem(.expectationFailed, "the only expectation understood is 100-continue")
        }
    }

    private func checkLength(_ head: RequestHead) throws(Problem) {
        if head.method == .put || head.method == .patch, head.contentLength == nil, !head.isChunked {
            throw Problem(.lengthRequired, "send Content-Length, or the body in chunks")
        }
        if let length = head.contentLength, length > backend.limits.entityBytesMax {
            throw .bodyTooLarge(max: backend.limits.entityBytesMax)
        }
    }

    private func readWork(_ head: RequestHead, _ key: EntityKey, _ loop: LoopContext) throws(Problem) -> Work {
        try Self.checkNoQuery(head)
        let preconditions = try head.checkedPreconditions(now: loop.wallSeconds)
        return .read(ReadRequest(key: key, kind: .entity(preconditions), inQueueOrder: false))
    }

    private func putDraft(_ head: RequestHead, _ key: EntityKey, _ loop: LoopContext) throws(Problem) -> WriteDraft {
        var ttlSeconds: UInt64?
        if let query = head.query {
            let parameters = try QueryParameters(head.array(query), known: ["ttl"])
            ttlSeconds = try parameters.number("ttl", in: OperationChecks.timeToLiveSeconds)
        }
        try head.checkNotEncoded()
        let contentType = try head.checkedContentType()
        return try draft(head, key, .put(contentType: contentType, ttlSeconds: ttlSeconds), loop)
    }

    private func patchDraft(_ head: RequestHead, _ key: EntityKey, _ loop: LoopContext) throws(Problem) -> WriteDraft {
        try Self.checkNoQuery(head)
        try head.checkNotEncoded()
        return try draft(head, key, .patch(try head.checkedPatchKind()), loop)
    }

    private func deleteDraft(_ head: RequestHead, _ key: EntityKey, _ loop: LoopContext) throws(Problem) -> WriteDraft {
        try Self.checkNoQuery(head)
        try head.checkNotEncoded()
        return try draft(head, key, .delete, loop)
    }

    private func draft(
        _ head: RequestHead, _ key: EntityKey, _ kind: WriteDraft.Kind, _ loop: LoopContext
    ) throws(Problem) -> WriteDraft {
        WriteDraft(
            key: key, kind: kind, preconditions: try head.checkedPreconditions(now: loop.wallSeconds),
            idempotencyKey: try head.checkedIdempotencyKey(),
            wantsRepresentation: head.method == .patch && head.prefersRepresentation)
    }

    private static func checkNoQuery(_ head: RequestHead) throws(Problem) {
        guard let query = head.query else { return }
        _ = try QueryParameters(head.array(query), known: [])
    }

    // MARK: The other routes

    private func admitOutcome(_ head: RequestHead, _ path: ArraySlice<UInt8>) -> Admission {
        let key: EntityKey
        do throws(Problem) {
            key = try EntityKey(path: path, seed: backend.ringSeed)
        } catch {
            return .refuse(Refusal(error), .outcome)
        }
        guard head.method == .get else { return .refuse(Self.wrongMethod("GET"), .outcome) }
        do throws(Problem) {
            try Self.checkExpectation(head)
            try Self.checkNoQuery(head)
            guard let idempotencyKey = try head.checkedIdempotencyKey() else {
                throw Problem(.badRequest, "say which write by its Idempotency-Key field")
            }
            try checkLength(head)
            let request = ReadRequest(key: key, kind: .outcome(idempotencyKey: idempotencyKey), inQueueOrder: false)
            return .run(.read(request), .outcome, bodyBytesMax: backend.limits.entityBytesMax)
        } catch {
            return .refuse(Refusal(error, position: backend.currentPosition(of: key)), .outcome)
        }
    }

    private func admitList(_ head: RequestHead, _ kind: ArraySlice<UInt8>) -> Admission {
        guard EntityKey.isKind(kind) else {
            let detail = "a kind is a lower-case letter or digit and up to 63 of a-z 0-9 . _ -"
            return .refuse(Refusal(Problem(.badKey, detail)), .list)
        }
        guard head.method == .get else { return .refuse(Self.wrongMethod("GET"), .list) }
        do throws(Problem) {
            try Self.checkExpectation(head)
            let (request, shape) = try ListQuery.read(
                head.query.map(head.array) ?? [], kind: kind, ringSeed: backend.ringSeed)
            try checkLength(head)
            return .run(.list(request, shape), .list, bodyBytesMax: backend.limits.entityBytesMax)
        } catch {
            return .refuse(Refusal(error), .list)
        }
    }

    private func admitBatch(_ head: RequestHead) -> Admission {
        guard head.method == .post else { return .refuse(Self.wrongMethod("POST"), .batch) }
        do throws(Problem) {
            try Self.checkExpectation(head)
            try Self.checkNoQuery(head)
            guard head.contentLength != nil || head.isChunked else {
                throw Problem(.lengthRequired, "send Content-Length, or the lines in chunks")
            }
            try head.checkNotEncoded()
            return .batch(backend)
        } catch {
            return .refuse(Refusal(error), .batch)
        }
    }
}

extension Problem {
    static func bodyTooLarge(max: Int) -> Problem {
        Problem(.entityTooLarge, "the body may have at most \(max) bytes")
    }
}

/// Where the admin listener's routes begin: the two listeners are easily taken for each other.
private enum AdminPaths {
    private static let beginnings = [
        "/v1/admin/", "/v1/cluster", "/v1/shards/", "/v1/operations/", "/v1/where/", "/livez", "/readyz", "/metrics",
    ].map { Array($0.utf8) }

    static func begins(_ path: [UInt8]) -> Bool { beginnings.contains { path.starts(with: $0) } }
}
