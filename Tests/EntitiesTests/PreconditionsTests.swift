import Entities
import Primitives
import Testing

@Suite struct EntityTagTests {
    static func ifMatch(_ values: String...) throws -> Preconditions.Condition? {
        try Preconditions(ifMatch: values.map { bytes($0)[...] }, ifNoneMatch: []).ifMatch
    }

    @Test(
        arguments: [
            ("*", .any), (" * ", .any), ("\"7\"", .versions([7])), ("\"7\",\"8\"", .versions([7, 8])),
            (" \"7\" ,\t\"8\" ", .versions([7, 8])), (",\"7\",,\"8\",", .versions([7, 8])), ("\"abc\"", .versions([])),
            ("\"\"", .versions([])), ("\"007\"", .versions([])), ("\"0\"", .versions([0])),
            ("\"a,b\",\"9\"", .versions([9])),
            ("\"18446744073709551615\"", .versions([.max])), ("\"18446744073709551616\"", .versions([])),
            ("\"99999999999999999999999\"", .versions([])), ("\"-7\"", .versions([])), ("\"+7\"", .versions([])),
            ("\"\u{E9}\"", .versions([])), ("\"!#~\"", .versions([])),
        ] as [(String, Preconditions.Condition)])
    func reads(value: String, condition: Preconditions.Condition) throws {
        #expect(try Self.ifMatch(value) == condition)
        #expect(try Preconditions(ifMatch: [], ifNoneMatch: [bytes(value)[...]]).ifNoneMatch == condition)
    }

    @Test(arguments: [
        "", " ", ",", ", ,", "7", "abc", "\"", "\"7", "7\"", "\"7\" \"8\"", "\"7\"\"8\"", "\"7\"x", "x\"7\"", "w/\"7\"",
        "W\"7\"",
        "W/7", "W/ \"7\"", "W/", "\"a b\"", "\"a\u{7F}\"", "\"a\tb\"", "*,\"7\"", "\"7\",*", "*,*", "**", "*x", "'7'",
        "\"7\";q=1",
    ])
    func refuses(value: String) {
        #expect(problemCode { _ = try Self.ifMatch(value) } == .badRequest)
        #expect(problemCode { _ = try Preconditions(ifMatch: [], ifNoneMatch: [bytes(value)[...]]) } == .badRequest)
    }

    @Test func weakTagsMatchOnlyWhereTheComparisonIsWeak() throws {
        let weak = [bytes("W/\"7\"")[...]]
        let conditions = try Preconditions(ifMatch: weak, ifNoneMatch: weak)
        #expect(conditions.ifMatch == .versions([]))
        #expect(conditions.ifNoneMatch == .versions([7]))
    }

    @Test func aRepeatedFieldIsOneList() throws {
        #expect(try Self.ifMatch("\"7\"", "\"8\"") == .versions([7, 8]))
        #expect(try Self.ifMatch("", "\"8\"") == .versions([8]))
        #expect(problemCode { _ = try Self.ifMatch("*", "\"8\"") } == .badRequest)
        #expect(problemCode { _ = try Self.ifMatch("*", "*") } == .badRequest)
        #expect(problemCode { _ = try Self.ifMatch("", "") } == .badRequest)
    }

    @Test func absentFieldsAreNoCondition() throws {
        #expect(try Preconditions(ifMatch: [], ifNoneMatch: []).isEmpty)
    }

    @Test func randomBytesNeverTrap() {
        var random = SplitMix64(seed: 0x5EED_0060)
        let alphabet = bytes("\"\"\"W/*, 0179a\t") + [0x80]
        for _ in 0..<20_000 {
            let noise = (0..<random.below(12)).map { _ in random.pick(alphabet) }
            _ = try? Preconditions(ifMatch: [noise[...]], ifNoneMatch: [noise.dropFirst()])
        }
    }
}

@Suite struct ConditionalReadTests {
    enum Outcome: Equatable { case found, notModified, preconditionFailed(UInt64?), notFound }

    static func read(_ conditions: Preconditions, _ current: StoredRecord?) -> Outcome? {
        switch conditions.evaluateRead(current: current, now: noon) {
        case .found(let record): record == current ? .found : nil
        case .notModified(let record): record == current ? .notModified : nil
        case .refused(let problem, let version) where problem.code == .preconditionFailed:
            .preconditionFailed(version?.rawValue)
        case .refused(let problem, nil) where problem.code == .notFound: .notFound
        case .refused: nil
        }
    }

    @Test(
        arguments: [
            (nil, nil, .found, .notFound), (.any, nil, .found, .preconditionFailed(nil)),
            (.versions([7]), nil, .found, .preconditionFailed(nil)),
            (.versions([1, 7]), nil, .found, .preconditionFailed(nil)),
            (.versions([6]), nil, .preconditionFailed(7), .preconditionFailed(nil)),
            (.versions([]), nil, .preconditionFailed(7), .preconditionFailed(nil)),
            (nil, .any, .notModified, .notFound),
            (nil, .versions([7]), .notModified, .notFound), (nil, .versions([6]), .found, .notFound),
            (nil, .versions([]), .found, .notFound),
            (.versions([7]), .versions([7]), .notModified, .preconditionFailed(nil)),
            (.versions([6]), .versions([7]), .preconditionFailed(7), .preconditionFailed(nil)),
            (.any, .any, .notModified, .preconditionFailed(nil)),
        ] as [(Preconditions.Condition?, Preconditions.Condition?, Outcome, Outcome)])
    func table(
        ifMatch: Preconditions.Condition?, ifNoneMatch: Preconditions.Condition?, present: Outcome, absent: Outcome
    ) {
        let conditions = Preconditions(ifMatch: ifMatch, ifNoneMatch: ifNoneMatch)
        #expect(Self.read(conditions, stored("1")) == present)
        #expect(
            Self.read(conditions, stored("1", expiresAt: Timestamp(milliseconds: noon.milliseconds + 1))) == present)
        #expect(Self.read(conditions, nil) == absent)
        #expect(Self.read(conditions, stored("1", expiresAt: noon)) == absent)
    }

    /// The entity was changed 500.999 s after 1970, which dates show as 500 s.
    @Test(
        arguments: [
            (nil, nil, 499, nil, .found), (nil, nil, 500, nil, .notModified), (nil, nil, 501, nil, .notModified),
            (nil, nil, 0, nil, .found), (nil, nil, .max, nil, .notModified),
            (nil, nil, nil, 499, .preconditionFailed(7)), (nil, nil, nil, 500, .found), (nil, nil, nil, .max, .found),
            (nil, nil, nil, 0, .preconditionFailed(7)), (nil, nil, 500, 500, .notModified),
            (nil, nil, 500, 499, .preconditionFailed(7)), (.any, nil, nil, 0, .found),
            (.versions([6]), nil, nil, .max, .preconditionFailed(7)), (.any, nil, 500, 0, .notModified),
            (nil, .versions([6]), 500, nil, .found), (nil, .versions([7]), 0, nil, .notModified),
            (nil, .versions([6]), nil, 0, .preconditionFailed(7)), (nil, .versions([7]), nil, 500, .notModified),
        ] as [(Preconditions.Condition?, Preconditions.Condition?, UInt64?, UInt64?, Outcome)])
    func dates(
        ifMatch: Preconditions.Condition?, ifNoneMatch: Preconditions.Condition?, modified: UInt64?,
        unmodified: UInt64?, outcome: Outcome
    ) {
        let conditions = Preconditions(
            ifMatch: ifMatch, ifNoneMatch: ifNoneMatch, ifModifiedSince: modified, ifUnmodifiedSince: unmodified)
        let current = StoredRecord(
            version: Position(7), updatedAt: Timestamp(milliseconds: 500_999), expiresAt: nil, contentType: [],
            state: bytes("1"))
        #expect(Self.read(conditions, current) == outcome)
        #expect(Self.read(conditions, nil) == (ifMatch == nil ? .notFound : .preconditionFailed(nil)))
    }
}
