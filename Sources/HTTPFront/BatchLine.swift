internal import Entities
internal import Primitives

/// One line of a batch (Contract §1.7), checked.
enum BatchLine {
    case read(ReadRequest)
    case write(WriteOperation)

    var key: EntityKey {
        switch self {
        case .read(let request): request.key
        case .write(let operation): operation.key
        }
    }

    /// Why a line is refused. `key` is there where the line named a sound one.
    struct Refused: Error {
        let problem: Problem
        let key: EntityKey?
    }

    /// The longest line that can hold a state of the limit, every byte of it escaped as `\u00XX`.
    static func bytesMax(_ limits: EntityLimits) -> Int { limits.entityBytesMax * 6 + (16 << 10) }

    /// What ``read(_:seed:limits:)`` comes to. Any thread.
    static func result(of line: [UInt8], seed: UInt64, limits: EntityLimits) -> Result<BatchLine, Refused> {
        do throws(Refused) {
            return .success(try read(line, seed: seed, limits: limits))
        } catch {
            return .failure(error)
        }
    }

    static func read(_ line: [UInt8], seed: UInt64, limits: EntityLimits) throws(Refused) -> BatchLine {
        var key: EntityKey?
        do throws(Problem) {
            let fields = try BatchFields(line)
            let known = try fields.key(seed: seed)
            key = known
            return try BatchLineReader(fields: fields, key: known, limits: limits).read()
        } catch {
            throw Refused(problem: error, key: key)
        }
    }
}

/// Makes an operation of a line's fields. Every field that the operation does not use is refused by name.
private struct BatchLineReader {
    let fields: BatchFields
    let key: EntityKey
    let limits: EntityLimits

    func read() throws(Problem) -> BatchLine {
        switch try fields.operation() {
        case .put: return .write(try put())
        case .patch: return .write(try patch())
        case .delete:
            try fields.allowOnly([.ifMatch, .ifNoneMatch, .idempotencyKey], with: "delete")
            return .write(try operation(.delete))
        case .get:
            try fields.allowOnly([.ifMatch, .ifNoneMatch], with: "get")
            return .read(ReadRequest(key: key, kind: .entity(try preconditions()), inQueueOrder: true))
        }
    }

    private func put() throws(Problem) -> WriteOperation {
        try fields.allowOnly(
            [.json, .text, .base64, .contentType, .ifMatch, .ifNoneMatch, .idempotencyKey, .ttl], with: "put")
        let content = try content()
        var contentType = content.contentType
        if let given = try fields.string(.contentType) {
            contentType = Array(given)
            try OperationChecks.contentType(given)
        }
        return try operation(
            .put(state: content.bytes, contentType: contentType, ttlSeconds: try fields.seconds(.ttl)))
    }

    private func patch() throws(Problem) -> WriteOperation {
        try fields.allowOnly(
            [.json, .text, .base64, .ifMatch, .ifNoneMatch, .idempotencyKey, .patch], with: "patch")
        return try operation(.patch(try fields.patchKind(), document: try content().bytes))
    }

    private func operation(_ action: WriteOperation.Action) throws(Problem) -> WriteOperation {
        var idempotencyKey: [UInt8]?
        if let given = try fields.string(.idempotencyKey) {
            try OperationChecks.idempotencyKey(given)
            idempotencyKey = Array(given)
        }
        return WriteOperation(
            key: key, action: action, preconditions: try preconditions(), idempotencyKey: idempotencyKey)
    }

    private func preconditions() throws(Problem) -> Preconditions {
        let ifMatch = try fields.string(.ifMatch)
        let ifNoneMatch = try fields.string(.ifNoneMatch)
        if ifMatch == nil, ifNoneMatch == nil { return .none }
        return try Preconditions(
            ifMatch: ifMatch.map { [$0] } ?? [], ifNoneMatch: ifNoneMatch.map { [$0] } ?? [])
    }

    /// The bytes of exactly one of `json`, `text`, `base64`, and the content type that goes with it.
    private func content() throws(Problem) -> (bytes: [UInt8], contentType: [UInt8]) {
        let json = try fields.json(bytesMax: limits.entityBytesMax)
        let text = try fields.string(.text)
        let base64 = try fields.string(.base64)
        guard [json != nil, text != nil, base64 != nil].filter({ $0 }).count == 1 else {
            throw Problem(.badRequest, "give the content as exactly one of json, text and base64")
        }
        let bytes: [UInt8]
        var contentType: [UInt8] = []
        if let json {
            bytes = Array(json)
            contentType = Array("application/json".utf8)
        } else if let text {
            bytes = Array(text)
            contentType = Array("text/plain; charset=utf-8".utf8)
        } else {
            guard let decoded = Base64.decode(base64 ?? []) else {
                throw Problem(.badRequest, "base64 must be RFC 4648 Base64 with padding and without white space")
            }
            bytes = decoded
        }
        guard bytes.count <= limits.entityBytesMax else { throw .bodyTooLarge(max: limits.entityBytesMax) }
        return (bytes, contentType)
    }
}
