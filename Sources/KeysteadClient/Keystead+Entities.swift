import NIOCore
import NIOHTTP1

extension Keystead {
    /// Reads one entity. An absent one is ``KeysteadError/Code/notFound``.
    public func get(_ key: EntityKey, deadline: Duration? = nil) async throws(KeysteadError) -> Entity {
        let answer = try await call(read(key), to: data, about: key, repetition: .harmless, deadline: deadline).answer
        return try entity(key, answer)
    }

    /// Reads one entity unless it still is at the version `tag`.
    public func get(
        _ key: EntityKey, unless tag: EntityTag, deadline: Duration? = nil
    ) async throws(KeysteadError) -> ConditionalRead {
        var request = read(key)
        request.headers.add(name: "If-None-Match", value: tag.description)
        let answer = try await call(request, to: data, about: key, repetition: .harmless, deadline: deadline).answer
        return answer.status == 304 ? .notModified(answer.etag ?? tag) : .found(try entity(key, answer))
    }

    /// Replaces the whole state of an entity, whether or not it exists.
    ///
    /// - Parameters:
    ///   - contentType: stored and given back; `nil` is `application/octet-stream`.
    ///   - ttlSeconds: past it the entity reads as absent; `nil` clears what was set before.
    @discardableResult
    public func put(
        _ key: EntityKey, _ state: [UInt8], contentType: String? = nil, ttlSeconds: UInt64? = nil,
        options: WriteOptions = WriteOptions()
    ) async throws(KeysteadError) -> WriteReceipt {
        var request = OutgoingRequest(method: .PUT, path: "/v1/entities/\(key.path)", isWrite: true)
        if let ttlSeconds { request.path += "?ttl=\(ttlSeconds)" }
        if let contentType { request.headers.add(name: "Content-Type", value: contentType) }
        request.body = ByteBuffer(bytes: state)
        return try await write(request, key, options)
    }

    /// Replaces the whole state of an entity with JSON text, stored as `application/json`.
    @discardableResult
    public func put(
        _ key: EntityKey, json: String, ttlSeconds: UInt64? = nil, options: WriteOptions = WriteOptions()
    ) async throws(KeysteadError) -> WriteReceipt {
        try await put(
            key, Array(json.utf8), contentType: "application/json", ttlSeconds: ttlSeconds, options: options)
    }

    /// Changes the JSON state of an entity atomically, in the entity's own queue.
    @discardableResult
    public func patch(
        _ key: EntityKey, _ patch: Patch, options: WriteOptions = WriteOptions()
    ) async throws(KeysteadError) -> WriteReceipt {
        var request = OutgoingRequest(method: .PATCH, path: "/v1/entities/\(key.path)", isWrite: true)
        request.headers.add(name: "Content-Type", value: patch.kind.mediaType)
        if options.returnsState { request.headers.add(name: "Prefer", value: "return=representation") }
        request.body = ByteBuffer(bytes: patch.document)
        return try await write(request, key, options)
    }

    /// Deletes an entity. An absent one is ``KeysteadError/Code/notFound``.
    @discardableResult
    public func delete(
        _ key: EntityKey, options: WriteOptions = WriteOptions()
    ) async throws(KeysteadError) -> WriteReceipt {
        let request = OutgoingRequest(method: .DELETE, path: "/v1/entities/\(key.path)", isWrite: true)
        return try await write(request, key, options)
    }

    /// What the write under `idempotencyKey` came to; `nil` where none is recorded: it has not taken effect, or not
    /// yet, or longer ago than the server remembers.
    public func outcome(
        of key: EntityKey, _ idempotencyKey: IdempotencyKey, deadline: Duration? = nil
    ) async throws(KeysteadError) -> RecordedOutcome? {
        do throws(KeysteadError) {
            let answer = try await call(
                lookUp(key, idempotencyKey), to: data, about: key, repetition: .harmless, deadline: deadline
            ).answer
            return try recordedOutcome(answer)
        } catch  where error.code == .notFound {
            return nil
        }
    }

    private func read(_ key: EntityKey) -> OutgoingRequest {
        OutgoingRequest(method: .GET, path: "/v1/entities/\(key.path)", isWrite: false)
    }

    private func lookUp(_ key: EntityKey, _ idempotencyKey: IdempotencyKey) -> OutgoingRequest {
        var request = OutgoingRequest(method: .GET, path: "/v1/outcomes/\(key.path)", isWrite: false)
        request.headers.add(name: "Idempotency-Key", value: idempotencyKey.description)
        return request
    }

    private func entity(_ key: EntityKey, _ answer: Answer) throws(KeysteadError) -> Entity {
        guard answer.status == 200, let etag = answer.etag else {
            throw .malformed("an entity without a version", isWrite: false, status: answer.status)
        }
        return Entity(
            key: key, state: answer.body,
            contentType: answer.headers.first(name: "Content-Type") ?? "application/octet-stream", etag: etag,
            lastModified: answer.headers.first(name: "Last-Modified"), position: answer.position,
            ttlSeconds: answer.headers.first(name: "Keystead-TTL").flatMap { UInt64($0) })
    }

    private func recordedOutcome(_ answer: Answer) throws(KeysteadError) -> RecordedOutcome {
        guard let record = JSONText(answer.body), let status = record.member("status")?.unsigned,
            let etag = record.member("etag")?.string.flatMap({ EntityTag($0) })
        else { throw .malformed("an outcome without status or tag", isWrite: false, status: answer.status) }
        return RecordedOutcome(status: Int(clamping: status), etag: etag, position: answer.position)
    }

    /// Sends a write under its guards.
    private func write(
        _ unguarded: OutgoingRequest, _ key: EntityKey, _ options: WriteOptions
    ) async throws(KeysteadError) -> WriteReceipt {
        var request = unguarded
        if let field = options.precondition?.field { request.headers.add(name: field.name, value: field.value) }
        var outcome: OutgoingRequest?
        var repetition: Repetition = options.precondition?.guardsAgainstRepetition == true ? .guarded : .bare
        if let idempotencyKey = options.idempotencyKey {
            request.headers.add(name: "Idempotency-Key", value: idempotencyKey.description)
            outcome = lookUp(key, idempotencyKey)
            repetition = .keyed
        }
        let reply = try await call(
            request, to: data, about: key, repetition: repetition, deadline: options.deadline, outcome: outcome)
        guard !reply.isLookUp else {
            let recorded = try recordedOutcome(reply.answer)
            return WriteReceipt(etag: recorded.etag, position: recorded.position, replayed: true)
        }
        let answer = reply.answer
        guard let etag = answer.etag else {
            throw .malformed("a write without a version", isWrite: true, status: answer.status)
        }
        return WriteReceipt(
            etag: etag, position: answer.position,
            replayed: answer.headers.first(name: "Idempotency-Replayed") == "true",
            state: answer.status == 200 && options.returnsState ? answer.body : nil)
    }
}
