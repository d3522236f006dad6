import JSON
public import Primitives

/// What a write came to, decided from the entity's own record alone.
public enum Evaluation: Sendable {
    /// Nothing changes. `currentVersion` is the entity's, `nil` where it is absent.
    case refused(Problem, currentVersion: Position?)
    /// The entity's new record, or its removal (`nil`), at the position given. `status` is 204, or 200 with a
    /// representation.
    case effect(record: StoredRecord?, status: UInt16)
}

/// Bounds that an operator may set.
public struct EntityLimits: Sendable {
    public var entityBytesMax: Int

    public init(entityBytesMax: Int = Limits.entityBytesDefault) { self.entityBytesMax = entityBytesMax }
}

/// A state that has been read, kept so that several patches of one entity in one group read it once.
public struct ReadState: Sendable {
    fileprivate let document: JSONDocument
    /// The version whose state it is.
    public fileprivate(set) var version: Position
    /// What it holds in memory, roughly, in bytes.
    public var byteCount: Int { document.weight }

    /// The same state, of the record that an effect has made at `position`.
    public func at(_ position: Position) -> ReadState {
        var moved = self
        moved.version = position
        return moved
    }
}

/// What evaluating an operation took, for whoever shares time among operations. Nothing of it decides an outcome.
public struct EvaluationCost: Sendable {
    /// In bytes of work: a nanosecond or a few each.
    public var work = 0
    /// States that were read, rather than found read.
    public var statesRead = 0

    public init() {}
}

extension WriteOperation {
    /// Evaluates against `current` (`nil` where absent; an expired record counts as absent), in this order:
    /// preconditions, then the action. The idempotency row has been looked at before. Pure.
    ///
    /// - Parameters:
    ///   - position: the position that the effect gets, which becomes the record's version.
    ///   - now: becomes the record's `updatedAt` and the base of its expiry.
    public func evaluate(
        current: StoredRecord?, position: Position, now: Timestamp, limits: EntityLimits
    ) -> Evaluation {
        var known: ReadState?
        var cost = EvaluationCost()
        return evaluate(
            current: current, position: position, now: now, limits: limits, known: &known, cost: &cost)
    }

    /// ``evaluate(current:position:now:limits:)`` for a caller that keeps what was read. The outcome is the same
    /// whatever `known` is.
    ///
    /// - Parameters:
    ///   - known: the state of `current`, where the caller has it read; another version's is ignored. Comes back as
    ///     that of what the entity is now, or as `nil` where that has not been read.
    ///   - cost: what it took is added.
    public func evaluate(
        current: StoredRecord?, position: Position, now: Timestamp, limits: EntityLimits, known: inout ReadState?,
        cost: inout EvaluationCost
    ) -> Evaluation {
        let evaluation = evaluate(
            current: current, position: position, now: now, limits: limits, known: &known, cost: &cost,
            patchWorkMax: .max)
        guard let evaluation else { preconditionFailure("an evaluation without an end of its own was cut") }
        return evaluation
    }

    /// ``evaluate(current:position:now:limits:known:cost:)`` for a caller that has little time.
    ///
    /// - Parameter patchWorkMax: bytes of work after which a patch is given up.
    /// - Returns: `nil` where it was. Nothing is known of its outcome then, and `known` is `nil`.
    public func evaluate(
        current: StoredRecord?, position: Position, now: Timestamp, limits: EntityLimits, known: inout ReadState?,
        cost: inout EvaluationCost, patchWorkMax: Int
    ) -> Evaluation? {
        let current = current?.live(at: now)
        do throws(Problem) {
            if let problem = preconditions.failure(on: current) { throw problem }
            let record: StoredRecord?
            switch action {
            case .put(let state, let contentType, let ttlSeconds):
                known = nil
                cost.work += state.count
                record = try Self.put(state, contentType, ttlSeconds, position: position, now: now, limits: limits)
            case .patch(let kind, let document):
                var patching = Patching(
                    current: current, position: position, now: now, limits: limits, workMax: patchWorkMax)
                swap(&known, &patching.known)
                defer {
                    known = patching.known
                    cost.work += patching.cost.work + patching.work.spent
                    cost.statesRead += patching.cost.statesRead
                }
                do throws(Problem) {
                    record = try patching.record(kind, document)
                } catch {
                    guard !patching.work.isCut else { return nil }
                    throw error
                }
            case .delete:
                known = nil
                guard current != nil else { throw .notFound }
                record = nil
            }
            return .effect(record: record, status: answersWithRepresentation ? 200 : 204)
        } catch {
            return .refused(error, currentVersion: current?.version)
        }
    }

    /// Bytes of the document and of the state that a patch reads, so that its work is seldom less. 0 for others, which
    /// take no more than a copy.
    public func patchBytes(on current: StoredRecord?) -> Int {
        guard case .patch(_, let document) = action else { return 0 }
        return document.count + (current?.state.count ?? 0)
    }

    /// Only a PATCH makes a state that its sender does not know.
    private var answersWithRepresentation: Bool {
        guard case .patch = action else { return false }
        return wantsRepresentation
    }

    private static func put(
        _ state: [UInt8], _ contentType: [UInt8], _ ttlSeconds: UInt64?, position: Position, now: Timestamp,
        limits: EntityLimits
    ) throws(Problem) -> StoredRecord {
        guard state.count <= limits.entityBytesMax else { throw .entityTooLarge(limits) }
        guard contentType.count <= Limits.contentTypeBytesMax else { throw .contentTypeTooLong }
        return StoredRecord(
            version: position, updatedAt: now, expiresAt: ttlSeconds.map { now.adding(seconds: $0) },
            contentType: contentType[...], state: state[...])
    }
}

/// One PATCH on one record.
private struct Patching {
    let current: StoredRecord?
    let position: Position
    let now: Timestamp
    let limits: EntityLimits
    var known: ReadState?
    /// Beside ``work``.
    var cost = EvaluationCost()
    var work: PatchWork

    /// What `else-create` stores.
    private static let createdContentType = Array("application/json".utf8)

    init(current: StoredRecord?, position: Position, now: Timestamp, limits: EntityLimits, workMax: Int) {
        self.current = current
        self.position = position
        self.now = now
        self.limits = limits
        work = PatchWork(bytesMax: limits.entityBytesMax, share: workMax)
    }

    mutating func record(_ kind: PatchKind, _ bytes: [UInt8]) throws(Problem) -> StoredRecord {
        let patch = try PatchDocument(kind, bytes, &work)
        let (base, weight) = try base(patch)
        // Given away, so that the editor alone holds it and changes it where it lies.
        var editor = JSONEditor(consume base, work: work)
        do {
            defer { work = editor.work }
            try patch.apply(to: &editor)
        } catch {
            // A condition that does not hold leaves the state as it was read, and it is kept.
            if let current, !editor.isChanged, !editor.work.isCut {
                known = ReadState(
                    document: JSONDocument(value: editor.root, weight: weight), version: current.version)
            }
            throw error
        }
        return try write(editor.root, expecting: (current?.state.count ?? 0) + bytes.count)
    }

    private mutating func write(_ value: JSONValue, expecting count: Int) throws(Problem) -> StoredRecord {
        guard let (state, weight) = value.encoded(bytesMax: limits.entityBytesMax, expecting: count) else {
            throw .entityTooLarge(limits)
        }
        try work.charge(state.count)
        known = ReadState(document: JSONDocument(value: value, weight: weight), version: position)
        return StoredRecord(
            version: position, updatedAt: now, expiresAt: current?.expiresAt,
            contentType: current?.contentType ?? Self.createdContentType[...], state: state[...])
    }

    /// What the patch starts from, charged for whether or not it was read before. An entity is JSON by its bytes,
    /// whatever its content type.
    private mutating func base(_ patch: PatchDocument) throws(Problem) -> (value: JSONValue, weight: Int) {
        guard let current else {
            known = nil
            guard let elseCreate = patch.elseCreate else { throw .notFound }
            return (elseCreate, patch.weight)
        }
        let state = try read(current)
        try work.charge(state.weight)
        return (state.value, state.weight)
    }

    /// Takes what is known, which then belongs to the patch alone and is changed where it lies.
    private mutating func read(_ current: StoredRecord) throws(Problem) -> JSONDocument {
        if let read = known, read.version == current.version {
            known = nil
            guard read.document.weight <= work.left else {
                known = read
                throw exhausted()
            }
            // Charged to the patch, see `PatchWork`, and yet no time was spent on it.
            cost.work -= read.document.weight
            return read.document
        }
        known = nil
        cost.statesRead += 1
        do {
            return try JSONDocument.read(Array(current.state), weightMax: work.left)
        } catch {
            // It may have read that far.
            cost.work += min(current.state.count, error.offset)
            if error.reason == .tooHeavy { throw exhausted() }
            throw Problem(.notJSON, "the entity's state is not JSON that can be patched: \(error)")
        }
    }

    private mutating func exhausted() -> Problem {
        // What is left was not spent on it.
        cost.work -= work.left
        return work.exhausted()
    }
}

extension StoredRecord {
    /// `nil` from the expiry on.
    fileprivate func live(at now: Timestamp) -> StoredRecord? { isExpired(at: now) ? nil : self }

    /// `Last-Modified`: dates of HTTP have whole seconds.
    fileprivate var changedSeconds: UInt64 { updatedAt.milliseconds / 1000 }
}

extension Problem {
    fileprivate static let notFound = Problem(.notFound, "there is no entity under this key")

    fileprivate static let contentTypeTooLong = Problem(
        .badRequest, "the content type is longer than \(Limits.contentTypeBytesMax) bytes")

    fileprivate static func entityTooLarge(_ limits: EntityLimits) -> Problem {
        Problem(.entityTooLarge, "the state would be larger than \(limits.entityBytesMax) bytes")
    }
}

/// What a conditional read came to (GET and HEAD with preconditions).
public enum ReadEvaluation: Sendable {
    case found(StoredRecord)
    case notModified(StoredRecord)
    case refused(Problem, currentVersion: Position?)
}

extension Preconditions {
    /// Evaluates a GET or HEAD against `current` at `now`, in the order of RFC 9110 §13.2.2: a false `If-Match`, or a
    /// false `If-Unmodified-Since` without it, is 412 first; a false `If-None-Match`, or a false `If-Modified-Since`
    /// without it, is 304. Pure.
    public func evaluateRead(current: StoredRecord?, now: Timestamp) -> ReadEvaluation {
        let current = current?.live(at: now)
        if let problem = staleness(of: current) { return .refused(problem, currentVersion: current?.version) }
        guard let current else { return .refused(.notFound, currentVersion: nil) }
        if let ifNoneMatch { return ifNoneMatch.matches(current) ? .notModified(current) : .found(current) }
        if let ifModifiedSince, current.changedSeconds <= ifModifiedSince { return .notModified(current) }
        return .found(current)
    }

    /// Why a write must not happen; `nil` where every condition holds.
    fileprivate func failure(on current: StoredRecord?) -> Problem? {
        if let problem = staleness(of: current) { return problem }
        guard let current, ifNoneMatch?.matches(current) ?? false else { return nil }
        return Problem(.preconditionFailed, "If-None-Match: the entity exists, at version \"\(current.version)\"")
    }

    /// Why the entity is not the one that the caller has seen; `nil` where it is, or nothing was said of it.
    private func staleness(of current: StoredRecord?) -> Problem? {
        if let ifMatch { return ifMatch.matches(current) ? nil : Self.ifMatchFailure(on: current) }
        guard let ifUnmodifiedSince, let current, current.changedSeconds > ifUnmodifiedSince else { return nil }
        return Problem(
            .preconditionFailed, "If-Unmodified-Since: the entity was changed later, to version \"\(current.version)\"")
    }

    private static func ifMatchFailure(on current: StoredRecord?) -> Problem {
        let state = current.map { "is at version \"\($0.version)\"" } ?? "does not exist"
        return Problem(.preconditionFailed, "If-Match: the entity \(state)")
    }
}

extension Preconditions.Condition {
    fileprivate func matches(_ current: StoredRecord?) -> Bool {
        guard let current else { return false }
        switch self {
        case .any: return true
        case .versions(let versions): return versions.contains(current.version.rawValue)
        }
    }
}
