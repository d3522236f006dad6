internal import Entities
internal import Primitives

/// ``Entities/EntityKey`` on the wire: its plain text. The receiver checks and hashes it again, so a key from a peer is
/// as sound as one from a client.
extension EntityKey {
    init(from input: inout WireInput, count: Int) throws(PeerWireError) {
        let text = try input.raw(count)
        do {
            try self.init(plain: text, seed: input.ring.seed)
        } catch {
            throw .malformed("not the key of an entity")
        }
    }
}

/// ``Entities/WriteOperation``:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | action: 1 put, 2 patch, 3 delete |
/// | 1 | 1 | flags: bit 0, time to live (put); 1, If-Match; 2, If-None-Match; 3, the representation is wanted; |
/// | | | 4, If-Unmodified-Since |
/// | 2 | 1 | kind of the patch (``Entities/PatchKind``), 0 for others |
/// | 3 | 1 | i, length of the idempotency key; 0 for none |
/// | 4 | 2 | k, length of `kind/id` |
/// | 6 | k | `kind/id` |
/// | … | i | idempotency key |
/// | … | 8 | time to live in seconds (with bit 0) |
/// | … | c | If-Match (with bit 1): ``Entities/Preconditions/Condition`` |
/// | … | c | If-None-Match (with bit 2) |
/// | … | 8 | If-Unmodified-Since in seconds since 1970 (with bit 4) |
/// | … | 2 + m | length of the content type, and the content type (put) |
/// | … | 4 + n | length of the state or of the patch document, and its bytes (put, patch) |
extension WriteOperation {
    private static let ttlFlag: UInt8 = 1
    private static let ifMatchFlag: UInt8 = 2
    private static let ifNoneMatchFlag: UInt8 = 4
    private static let representationFlag: UInt8 = 8
    private static let ifUnmodifiedSinceFlag: UInt8 = 16

    init(from input: inout WireInput) throws(PeerWireError) {
        let tag = try input.uint8()
        let flags = try input.flags(
            known: Self.ttlFlag | Self.ifMatchFlag | Self.ifNoneMatchFlag | Self.representationFlag
                | Self.ifUnmodifiedSinceFlag)
        let patchKind = try input.uint8()
        let idempotencyBytes = Int(try input.uint8())
        let keyBytes = Int(try input.uint16())
        let key = try EntityKey(from: &input, count: keyBytes)
        let idempotencyKey = idempotencyBytes == 0 ? nil : try input.array(idempotencyBytes)
        let ttlSeconds = flags & Self.ttlFlag == 0 ? nil : try input.uint64()
        let preconditions = Preconditions(
            ifMatch: flags & Self.ifMatchFlag == 0 ? nil : try .init(from: &input),
            ifNoneMatch: flags & Self.ifNoneMatchFlag == 0 ? nil : try .init(from: &input),
            ifUnmodifiedSince: flags & Self.ifUnmodifiedSinceFlag == 0 ? nil : try input.uint64())
        let action: Action
        switch tag {
        case 1:
            let contentType = try input.array(Int(try input.uint16()))
            action = .put(state: try input.longArray(), contentType: contentType, ttlSeconds: ttlSeconds)
        case 2:
            guard let kind = PatchKind(rawValue: patchKind) else { throw .malformed("the kind of a patch is unknown") }
            action = .patch(kind, document: try input.longArray())
        case 3: action = .delete
        default: throw .malformed("the action of a write is unknown")
        }
        self.init(
            key: key, action: action, preconditions: preconditions, idempotencyKey: idempotencyKey,
            wantsRepresentation: flags & Self.representationFlag != 0)
        do throws(Problem) {
            // The node's own limit may be lower, and is looked at when the operation is evaluated.
            try check(EntityLimits(entityBytesMax: Limits.entityBytesCeiling))
        } catch {
            throw .malformed("an operation contains what no operation may")
        }
    }

    func write<Output: WireOutput>(to output: inout Output) {
        let (tag, patchKind, ttlSeconds): (UInt8, UInt8, UInt64?) =
            switch action {
            case .put(_, _, let ttlSeconds): (1, 0, ttlSeconds)
            case .patch(let kind, _): (2, kind.rawValue, nil)
            case .delete: (3, 0, nil)
            }
        output.write(tag)
        output.write(
            (ttlSeconds == nil ? 0 : Self.ttlFlag) | (preconditions.ifMatch == nil ? 0 : Self.ifMatchFlag)
                | (preconditions.ifNoneMatch == nil ? 0 : Self.ifNoneMatchFlag)
                | (wantsRepresentation ? Self.representationFlag : 0)
                | (preconditions.ifUnmodifiedSince == nil ? 0 : Self.ifUnmodifiedSinceFlag))
        output.write(patchKind)
        output.write(UInt8(idempotencyKey?.count ?? 0))
        output.write(UInt16(key.bytes.count))
        output.write(key.bytes)
        if let idempotencyKey { output.write(idempotencyKey) }
        if let ttlSeconds { output.write(ttlSeconds) }
        preconditions.ifMatch?.write(to: &output)
        preconditions.ifNoneMatch?.write(to: &output)
        if let date = preconditions.ifUnmodifiedSince { output.write(date) }
        switch action {
        case .put(let state, let contentType, _):
            output.write(UInt16(contentType.count))
            output.write(contentType)
            output.writeLong(state)
        case .patch(_, let document): output.writeLong(document)
        case .delete: break
        }
    }
}

/// ``Entities/Preconditions/Condition``:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | 1 any, 2 versions |
/// | 1 | 4 | v, number of versions (versions) |
/// | 5 | 8 v | versions (versions) |
extension Preconditions.Condition {
    init(from input: inout WireInput) throws(PeerWireError) {
        switch try input.uint8() {
        case 1: self = .any
        case 2:
            let count = try input.count(max: Limits.preconditionVersionsMax, bytesEach: 8)
            var versions: [UInt64] = []
            versions.reserveCapacity(count)
            for _ in 0..<count { versions.append(try input.uint64()) }
            self = .versions(versions)
        default: throw .malformed("a precondition is unknown")
        }
    }

    func write<Output: WireOutput>(to output: inout Output) {
        switch self {
        case .any: output.write(UInt8(1))
        case .versions(let versions):
            output.write(UInt8(2))
            output.write(UInt32(versions.count))
            for version in versions { output.write(version) }
        }
    }
}

/// ``Entities/ReadRequest``:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | kind: 1 entity, 2 outcome |
/// | 1 | 1 | flags: bit 0, in the order of the queue; and of an entity 1, If-Match follows; 2, If-None-Match; |
/// | | | 3, If-Modified-Since; 4, If-Unmodified-Since |
/// | 2 | 1 | i, length of the idempotency key (outcome) |
/// | 3 | 2 | k, length of `kind/id` |
/// | 5 | k | `kind/id` |
/// | … | i | idempotency key |
/// | … | c | If-Match (with bit 1): ``Entities/Preconditions/Condition`` |
/// | … | c | If-None-Match (with bit 2) |
/// | … | 8 | If-Modified-Since in seconds since 1970 (with bit 3) |
/// | … | 8 | If-Unmodified-Since in seconds since 1970 (with bit 4) |
extension ReadRequest {
    private static let inOrderFlag: UInt8 = 1
    private static let ifMatchFlag: UInt8 = 2
    private static let ifNoneMatchFlag: UInt8 = 4
    private static let ifModifiedSinceFlag: UInt8 = 8
    private static let ifUnmodifiedSinceFlag: UInt8 = 16

    init(from input: inout WireInput) throws(PeerWireError) {
        let tag = try input.uint8()
        let flags = try input.flags(
            known: Self.inOrderFlag | Self.ifMatchFlag | Self.ifNoneMatchFlag | Self.ifModifiedSinceFlag
                | Self.ifUnmodifiedSinceFlag)
        let idempotencyBytes = Int(try input.uint8())
        let keyBytes = Int(try input.uint16())
        let key = try EntityKey(from: &input, count: keyBytes)
        let kind: Kind
        switch tag {
        case 1:
            kind = .entity(
                Preconditions(
                    ifMatch: flags & Self.ifMatchFlag == 0 ? nil : try .init(from: &input),
                    ifNoneMatch: flags & Self.ifNoneMatchFlag == 0 ? nil : try .init(from: &input),
                    ifModifiedSince: flags & Self.ifModifiedSinceFlag == 0 ? nil : try input.uint64(),
                    ifUnmodifiedSince: flags & Self.ifUnmodifiedSinceFlag == 0 ? nil : try input.uint64()))
        case 2:
            kind = .outcome(idempotencyKey: try input.array(idempotencyBytes))
        default: throw .malformed("the kind of a read is unknown")
        }
        self.init(key: key, kind: kind, inQueueOrder: flags & Self.inOrderFlag != 0)
        do throws(Problem) {
            try check()
        } catch {
            throw .malformed("a read contains what no read may")
        }
    }

    func write<Output: WireOutput>(to output: inout Output) {
        var flags = inQueueOrder ? Self.inOrderFlag : 0
        switch kind {
        case .entity(let preconditions):
            if preconditions.ifMatch != nil { flags |= Self.ifMatchFlag }
            if preconditions.ifNoneMatch != nil { flags |= Self.ifNoneMatchFlag }
            if preconditions.ifModifiedSince != nil { flags |= Self.ifModifiedSinceFlag }
            if preconditions.ifUnmodifiedSince != nil { flags |= Self.ifUnmodifiedSinceFlag }
            output.write(UInt8(1))
            output.write(flags)
            output.write(UInt8(0))
            output.write(UInt16(key.bytes.count))
            output.write(key.bytes)
            preconditions.ifMatch?.write(to: &output)
            preconditions.ifNoneMatch?.write(to: &output)
            if let date = preconditions.ifModifiedSince { output.write(date) }
            if let date = preconditions.ifUnmodifiedSince { output.write(date) }
        case .outcome(let idempotencyKey):
            output.write(UInt8(2))
            output.write(flags)
            output.write(UInt8(idempotencyKey.count))
            output.write(UInt16(key.bytes.count))
            output.write(key.bytes)
            output.write(idempotencyKey)
        }
    }
}

/// ``Entities/ListRequest``:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 1 | flags: bit 0, with values; 1, a cursor follows |
/// | 1 | 4 | items at most, 1 to `Limits.listItemsMax` |
/// | 5 | 2 | p, length of the prefix |
/// | 7 | p | prefix of `kind/id` |
/// | … | c | cursor (with bit 1): ``Entities/ListCursor`` |
extension ListRequest {
    private static let valuesFlag: UInt8 = 1
    private static let cursorFlag: UInt8 = 2

    init(from input: inout WireInput) throws(PeerWireError) {
        let flags = try input.flags(known: Self.valuesFlag | Self.cursorFlag)
        let itemsMax = Int(try input.uint32())
        let prefix = try input.array(Int(try input.uint16()))
        self.init(
            keyPrefix: prefix, itemsMax: itemsMax,
            after: flags & Self.cursorFlag == 0 ? nil : try ListCursor(from: &input),
            withValues: flags & Self.valuesFlag != 0)
        do throws(Problem) {
            try check()
        } catch {
            throw .malformed("a list contains what no list may")
        }
    }

    func write<Output: WireOutput>(to output: inout Output) {
        output.write((withValues ? Self.valuesFlag : 0) | (after == nil ? 0 : Self.cursorFlag))
        output.write(UInt32(itemsMax))
        output.write(UInt16(keyPrefix.count))
        output.write(keyPrefix)
        after?.write(to: &output)
    }
}

/// ``Entities/ListCursor``:
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | ring hash |
/// | 8 | 2 | k, length of the key; 0 for none |
/// | 10 | k | the last key listed |
extension ListCursor {
    init(from input: inout WireInput) throws(PeerWireError) {
        let ringHash = try input.uint64()
        self.init(ringHash: ringHash, keyBytes: try input.array(Int(try input.uint16())))
    }

    func write<Output: WireOutput>(to output: inout Output) {
        output.write(ringHash)
        output.write(UInt16(keyBytes.count))
        output.write(keyBytes)
    }
}
