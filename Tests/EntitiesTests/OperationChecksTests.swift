import Entities
import Primitives
import Testing

/// What an operation may contain, whoever brings it.
@Suite struct OperationChecksTests {
    private func check(
        _ action: WriteOperation.Action, preconditions: Preconditions = .none, idempotencyKey: String? = nil
    ) throws -> ProblemCode? {
        let operation = WriteOperation(
            key: try key("k/i"), action: action, preconditions: preconditions,
            idempotencyKey: idempotencyKey.map { bytes($0) })
        do throws(Problem) {
            try operation.check(EntityLimits(entityBytesMax: 100))
            return nil
        } catch {
            return error.code
        }
    }

    private func put(_ state: Int = 0, type: String = "", ttl: UInt64? = nil) -> WriteOperation.Action {
        .put(state: [UInt8](repeating: 0, count: state), contentType: bytes(type), ttlSeconds: ttl)
    }

    @Test func contentTypesAreFieldText() throws {
        for type in ["", "text/plain; charset=utf-8", "a b", String(repeating: "x", count: 255)] {
            #expect(try check(put(type: type)) == nil, "\(type)")
        }
        for type in ["a\r\nSet-Cookie: b", "a\n", "\u{0}", "\u{7F}", "é", String(repeating: "x", count: 256)] {
            #expect(try check(put(type: type)) == .badRequest, "\(type)")
        }
    }

    @Test func livesAreFromOneSecondToTenYears() throws {
        #expect(try check(put(ttl: 1)) == nil && check(put(ttl: 315_360_000)) == nil)
        for seconds in [0, 315_360_001, UInt64.max] { #expect(try check(put(ttl: seconds)) == .badRequest) }
    }

    @Test func idempotencyKeysAreVisible() throws {
        #expect(try check(.delete, idempotencyKey: "!~") == nil)
        #expect(try check(.delete, idempotencyKey: String(repeating: "k", count: 255)) == nil)
        for key in ["", " ", "a b", "a\n", "é", String(repeating: "k", count: 256)] {
            #expect(try check(.delete, idempotencyKey: key) == .badRequest, "\(key)")
        }
    }

    @Test func sizesAreThoseOfEntities() throws {
        #expect(try check(put(100)) == nil && check(put(101)) == .entityTooLarge)
        let document = [UInt8](repeating: 32, count: 101)
        #expect(try check(.patch(.merge, document: document)) == .entityTooLarge)
        #expect(try check(.patch(.merge, document: Array(document.dropLast()))) == nil)
    }

    @Test func preconditionsNameSoManyVersions() throws {
        let most = Array(repeating: UInt64.max, count: Limits.preconditionVersionsMax)
        #expect(try check(.delete, preconditions: Preconditions(ifMatch: .versions(most))) == nil)
        let tooMany = Preconditions(ifNoneMatch: .versions(most + [1]))
        #expect(try check(.delete, preconditions: tooMany) == .badRequest)
        let read = ReadRequest(key: try key("k/i"), kind: .entity(tooMany), inQueueOrder: false)
        #expect(throws: Problem.self) { try read.check() }
        let text = Array(repeating: "\"1\"", count: Limits.preconditionVersionsMax + 1).joined(separator: ",")
        #expect(throws: Problem.self) { try Preconditions(ifMatch: [bytes(text)[...]], ifNoneMatch: []) }
    }

    @Test func listsAskForAPageOfKeys() throws {
        func list(_ count: Int, prefix: Int = 1, cursor: Int = 1) -> ListRequest {
            ListRequest(
                keyPrefix: [UInt8](repeating: 97, count: prefix), itemsMax: count,
                after: ListCursor(ringHash: .max, keyBytes: [UInt8](repeating: 97, count: cursor)), withValues: false)
        }
        for sound in [list(1), list(1000), list(1, prefix: 577, cursor: 577)] {
            #expect(throws: Never.self) { try sound.check() }
        }
        for bad in [list(0), list(1001), list(-1), list(1, prefix: 578), list(1, cursor: 578)] {
            #expect(throws: Problem.self) { try bad.check() }
        }
    }

    /// A type that an older version stored, and that would end the field it is given back in.
    @Test func aStoredTypeThatIsNoFieldTextIsTheDefault() {
        let record = StoredRecord(
            version: Position(1), updatedAt: .zero, expiresAt: nil, contentType: bytes("a/b\r\nX: y"), state: [UInt8]())
        #expect(text(record.effectiveContentType) == "application/octet-stream")
    }
}
