import Entities
import Primitives
import Testing

@Suite struct EvaluationTests {
    static let limits = EntityLimits(entityBytesMax: 100)

    static func evaluate(
        _ action: WriteOperation.Action, on current: StoredRecord?, if preconditions: Preconditions = .none,
        wantsRepresentation: Bool = false
    ) throws -> Evaluation {
        let operation = WriteOperation(
            key: try key("doc/1"), action: action, preconditions: preconditions,
            wantsRepresentation: wantsRepresentation)
        return operation.evaluate(current: current, position: Position(8), now: noon, limits: limits)
    }

    static func effect(_ evaluation: Evaluation) throws -> (record: StoredRecord?, status: UInt16) {
        guard case .effect(let record, let status) = evaluation else {
            throw Problem(.badRequest, "refused: \(evaluation)")
        }
        return (record, status)
    }

    static func refusal(_ evaluation: Evaluation) -> Refusal? {
        guard case .refused(let problem, let version) = evaluation else { return nil }
        return Refusal(code: problem.code, version: version?.rawValue)
    }

    struct Refusal: Equatable {
        let code: ProblemCode
        let version: UInt64?
    }

    static let put = WriteOperation.Action.put(state: bytes("new"), contentType: bytes("a/b"), ttlSeconds: nil)
    static let patch = WriteOperation.Action.patch(.merge, document: bytes("{\"b\":2}"))

    @Test func putReplacesEverything() throws {
        let before = stored("old", expiresAt: Timestamp(milliseconds: .max))
        for current in [nil, before] {
            let (record, status) = try Self.effect(Self.evaluate(Self.put, on: current))
            #expect(status == 204)
            #expect(
                record
                    == StoredRecord(
                        version: Position(8), updatedAt: noon, expiresAt: nil, contentType: bytes("a/b"),
                        state: bytes("new")))
        }
    }

    @Test func putWithTimeToLive() throws {
        let action = WriteOperation.Action.put(state: [], contentType: [], ttlSeconds: 5)
        let record = try #require(try Self.effect(Self.evaluate(action, on: nil)).record)
        #expect(record.expiresAt == noon.adding(seconds: 5))
        #expect(record.contentType.isEmpty && text(record.effectiveContentType) == "application/octet-stream")
    }

    @Test func putBeyondTheLimits() throws {
        func put(_ bytes: Int, contentType: Int) throws -> Refusal? {
            Self.refusal(
                try Self.evaluate(
                    .put(
                        state: [UInt8](repeating: 0, count: bytes),
                        contentType: [UInt8](repeating: 97, count: contentType), ttlSeconds: nil), on: stored("1")))
        }
        #expect(try put(100, contentType: 255) == nil)
        #expect(try put(101, contentType: 0) == Refusal(code: .entityTooLarge, version: 7))
        #expect(try put(0, contentType: 256) == Refusal(code: .badRequest, version: 7))
    }

    @Test func deleteRemovesWhatIsThere() throws {
        #expect(try Self.effect(Self.evaluate(.delete, on: stored("1"))) == (nil, 204))
        #expect(Self.refusal(try Self.evaluate(.delete, on: nil)) == Refusal(code: .notFound, version: nil))
        let expired = stored("1", expiresAt: noon)
        #expect(Self.refusal(try Self.evaluate(.delete, on: expired)) == Refusal(code: .notFound, version: nil))
    }

    @Test func patchKeepsContentTypeAndExpiry() throws {
        let expiry = Timestamp(milliseconds: noon.milliseconds + 1)
        let current = stored("{\"a\":1}", contentType: "text/x", expiresAt: expiry)
        let (record, status) = try Self.effect(Self.evaluate(Self.patch, on: current))
        #expect(status == 204)
        #expect(
            record
                == StoredRecord(
                    version: Position(8), updatedAt: noon, expiresAt: expiry, contentType: bytes("text/x"),
                    state: bytes("{\"a\":1,\"b\":2}")))
    }

    @Test func patchOfAnAbsentEntity() throws {
        for kind in PatchKind.allCases {
            let document = kind == .update ? "{\"do\":[]}" : "[]"
            let action = WriteOperation.Action.patch(kind, document: bytes(document))
            #expect(Self.refusal(try Self.evaluate(action, on: nil)) == Refusal(code: .notFound, version: nil))
            let expired = stored("1", expiresAt: noon)
            #expect(Self.refusal(try Self.evaluate(action, on: expired)) == Refusal(code: .notFound, version: nil))
        }
    }

    @Test func elseCreateStoresJSONWithoutExpiry() throws {
        let action = WriteOperation.Action.patch(.update, document: bytes("{\"do\":[],\"else-create\":{\"n\":1}}"))
        for current in [nil, stored("2", contentType: "a/b", expiresAt: noon)] {
            let record = try #require(try Self.effect(Self.evaluate(action, on: current)).record)
            #expect(text(record.contentType) == "application/json" && text(record.state) == "{\"n\":1}")
            #expect(record.expiresAt == nil)
        }
    }

    @Test func representationIsForPatchesOnly() throws {
        let current = stored("{}")
        #expect(try Self.effect(Self.evaluate(Self.patch, on: current, wantsRepresentation: true)).status == 200)
        #expect(try Self.effect(Self.evaluate(Self.put, on: current, wantsRepresentation: true)).status == 204)
        #expect(try Self.effect(Self.evaluate(.delete, on: current, wantsRepresentation: true)).status == 204)
    }

    @Test(
        arguments: [
            (.any, nil, true, false), (.versions([7]), nil, true, false), (.versions([6]), nil, false, false),
            (.versions([]), nil, false, false), (nil, .any, false, true), (nil, .versions([7]), false, true),
            (nil, .versions([6]), true, true), (nil, .versions([]), true, true), (.any, .versions([6]), true, false),
            (.versions([7]), .any, false, false),
        ] as [(Preconditions.Condition?, Preconditions.Condition?, Bool, Bool)])
    func preconditionsDecideFirst(
        ifMatch: Preconditions.Condition?, ifNoneMatch: Preconditions.Condition?, present: Bool, absent: Bool
    ) throws {
        let conditions = Preconditions(ifMatch: ifMatch, ifNoneMatch: ifNoneMatch)
        for action in [Self.put, Self.patch, .delete] {
            let onPresent = Self.refusal(try Self.evaluate(action, on: stored("{}"), if: conditions))
            #expect(onPresent == (present ? nil : Refusal(code: .preconditionFailed, version: 7)))
            for current in [nil, stored("{}", expiresAt: noon)] {
                let onAbsent = Self.refusal(try Self.evaluate(action, on: current, if: conditions))
                let isPut = if case .put = action { true } else { false }
                let held: Refusal? = isPut ? nil : Refusal(code: .notFound, version: nil)
                #expect(onAbsent == (absent ? held : Refusal(code: .preconditionFailed, version: nil)))
            }
        }
        let malformed = WriteOperation.Action.patch(.merge, document: bytes("{"))
        let refusal = Self.refusal(try Self.evaluate(malformed, on: stored("{}"), if: conditions))
        #expect(refusal == Refusal(code: present ? .badRequest : .preconditionFailed, version: 7))
    }

    /// A write asks whether the entity is as old as its sender believes; an absent one has no date.
    @Test(
        arguments: [
            (nil, 499, false), (nil, 500, true), (nil, .max, true), (.any, 0, true), (.versions([6]), .max, false),
        ] as [(Preconditions.Condition?, UInt64, Bool)])
    func datesHoldWritesBack(ifMatch: Preconditions.Condition?, unmodified: UInt64, holds: Bool) throws {
        let current = StoredRecord(
            version: Position(7), updatedAt: Timestamp(milliseconds: 500_000), expiresAt: nil, contentType: [],
            state: bytes("{}"))
        // The other date bears on reads only.
        let conditions = Preconditions(ifMatch: ifMatch, ifModifiedSince: .max, ifUnmodifiedSince: unmodified)
        #expect(!conditions.isEmpty)
        for action in [Self.put, Self.patch, .delete] {
            let refusal = Self.refusal(try Self.evaluate(action, on: current, if: conditions))
            #expect(refusal == (holds ? nil : Refusal(code: .preconditionFailed, version: 7)))
        }
        let onAbsent = Self.refusal(try Self.evaluate(Self.put, on: nil, if: conditions))
        #expect(onAbsent == (ifMatch == nil ? nil : Refusal(code: .preconditionFailed, version: nil)))
    }

    @Test func aConditionalPutReadsFirst() throws {
        let put = WriteOperation(
            key: try key("doc/1"), action: Self.put, preconditions: Preconditions(ifUnmodifiedSince: 1))
        #expect(!put.isBlind)
    }

    @Test func aPatchBeyondTheSizeLimit() throws {
        let whole = "\"" + String(repeating: "x", count: 98) + "\""
        for (document, refusal) in [(whole, nil), ("[" + whole + "]", Refusal(code: .entityTooLarge, version: 7))] {
            let action = WriteOperation.Action.patch(.merge, document: bytes(document))
            #expect(Self.refusal(try Self.evaluate(action, on: stored("1"))) == refusal)
        }
    }

    @Test(arguments: ["", " ", "hello", "{\"a\":1", "{\"a\":1,\"a\":2}", "\u{FEFF}{}", "01", "[NaN]"])
    func statesThatAreNotJSON(state: String) throws {
        for (kind, document) in [(PatchKind.merge, "{}"), (.jsonPatch, "[]"), (.update, "{\"do\":[]}")] {
            let action = WriteOperation.Action.patch(kind, document: bytes(document))
            #expect(Self.refusal(try Self.evaluate(action, on: stored(state))) == Refusal(code: .notJSON, version: 7))
        }
    }

    @Test func aStateIsJSONByItsBytes() throws {
        let current = stored(" {\"a\" : 1.0} ", contentType: "image/png")
        let record = try #require(try Self.effect(Self.evaluate(Self.patch, on: current)).record)
        #expect(text(record.state) == "{\"a\":1.0,\"b\":2}")
    }
}
