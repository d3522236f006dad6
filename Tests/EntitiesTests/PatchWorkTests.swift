@testable import Entities
import Primitives
import Testing

/// What a patch may cost, and that what is known of a state already changes nothing but the time.
@Suite struct PatchWorkTests {
    static func digits(_ count: Int) -> String { String(repeating: "7", count: count) }

    static func many(_ text: String, _ count: Int) -> String {
        Array(repeating: text, count: count).joined(separator: ",")
    }

    // MARK: Long numbers

    @Test(arguments: [4_096, 4_097, 100_000])
    func longNumbersAreStoredAndGivenBack(count: Int) {
        for number in [Self.digits(count), "0.\(Self.digits(count))", "-1e\(Self.digits(count))"] {
            #expect(patch(.merge, "{\"n\":\(number)}", on: "{\"m\":1}") == .state("{\"m\":1,\"n\":\(number)}"))
            #expect(patch(.merge, "{\"m\":2}", on: "{\"n\":\(number),\"m\":1}") == .state("{\"n\":\(number),\"m\":2}"))
            let move = #"[{"op":"move","from":"/n","path":"/o"},{"op":"copy","from":"/o","path":"/p"}]"#
            #expect(patch(.jsonPatch, move, on: "{\"n\":\(number)}") == .state("{\"o\":\(number),\"p\":\(number)}"))
            let set = "{\"if\":[{\"at\":\"/n\",\"exists\":true}],\"do\":[{\"set\":\"/m\",\"to\":\(number)}]}"
            #expect(patch(.update, set, on: "{\"n\":\(number)}") == .state("{\"n\":\(number),\"m\":\(number)}"))
        }
    }

    static let comparisons = [
        #"{"if":[{"at":"/n","eq":5}],"do":[]}"#, #"{"if":[{"at":"/n","ne":5}],"do":[]}"#,
        #"{"if":[{"at":"/n","lt":5}],"do":[]}"#, #"{"if":[{"at":"/n","lte":5}],"do":[]}"#,
        #"{"if":[{"at":"/n","gt":5}],"do":[]}"#, #"{"if":[{"at":"/n","gte":5}],"do":[]}"#,
        #"{"if":[{"at":"","eq":{"n":5}}],"do":[]}"#, #"{"if":[{"at":"","ne":{"n":5}}],"do":[]}"#,
        #"{"do":[{"increment":"/n","by":5}]}"#, #"{"do":[{"max":"/n","to":5}]}"#, #"{"do":[{"min":"/n","to":5}]}"#,
    ]

    @Test(arguments: comparisons)
    func longNumbersAreNotComparedOrComputedWith(document: String) {
        let number = Self.digits(4_097)
        #expect(patch(.update, document, on: "{\"n\":\(number)}") == .refused(.patchFailed))
        let long = document.replacing("5", with: number)
        #expect(patch(.update, long, on: "{\"n\":1}") == .refused(.patchFailed))
        let shorter = document.replacing("5", with: Self.digits(4_096))
        let outcome = patch(.update, shorter, on: "{\"n\":\(Self.digits(4_096))}")
        #expect(outcome != .refused(.patchFailed) || document.contains("increment"))
    }

    /// A long number beside another type is not compared, so it is no fault.
    @Test func longNumbersBesideOtherTypes() {
        let state = "{\"n\":\(Self.digits(5_000))}"
        let unequal = #"{"if":[{"at":"/n","eq":"5"}],"do":[]}"#
        #expect(patch(.update, unequal, on: state) == .refused(.conditionFailed))
        #expect(patch(.jsonPatch, #"[{"op":"test","path":"/n","value":null}]"#, on: state) == .refused(.patchFailed))
        #expect(patch(.jsonPatch, #"[{"op":"test","path":"","value":{"m":0}}]"#, on: state) == .refused(.patchFailed))
    }

    @Test func jsonPatchTestsMeetLongNumbers() throws {
        let number = Self.digits(4_097)
        let inside = "[{\"op\":\"test\",\"path\":\"\",\"value\":[1,[{\"n\":\(number)}]]}]"
        #expect(patch(.jsonPatch, inside, on: "[1,[{\"n\":\(number)}]]") == .refused(.patchFailed))
        let detail = try #require(try refusal(.jsonPatch, inside, on: "[1,[{\"n\":\(number)}]]"))
        #expect(detail.contains("4096 digits") && detail.contains("operation 0"), "\(detail)")
        // The first difference ends a comparison.
        let before = "[{\"op\":\"test\",\"path\":\"\",\"value\":[2,\(number)]}]"
        #expect(patch(.jsonPatch, before, on: "[1,\(number)]") == .refused(.patchFailed))
        let other = try #require(try refusal(.jsonPatch, before, on: "[1,\(number)]"))
        #expect(!other.contains("digits"), "\(other)")
    }

    // MARK: The budget

    /// Each is a thing that one small document can ask for thousands of times.
    static let heavy: [(PatchKind, state: String, document: String)] = [
        (.update, "{\"n\":\(digits(4_096))}", "{\"if\":[\(many(#"{"at":"/n","gt":0}"#, 9_999))],\"do\":[]}"),
        (.update, "{\"n\":\(digits(4_096))}", "{\"do\":[\(many(#"{"max":"/n","to":0}"#, 9_999))]}"),
        (
            .jsonPatch, "[\(many("0", 100_000))]",
            "[\(many(#"{"op":"add","path":"/0","value":0}"#, 9_999))]"
        ),
        (
            .jsonPatch, "[\(many("0", 100_000))]",
            "[\(many(#"{"op":"move","from":"/0","path":"/-"}"#, 9_999))]"
        ),
        (
            .jsonPatch, "{\"a\":[\(many("0", 100_000))]}",
            "[\(many(#"{"op":"copy","from":"/a","path":"/b"}"#, 9_999))]"
        ),
        (
            .jsonPatch, "{\"s\":\"\(String(repeating: "\\u0041", count: 100_000))\"}",
            "[\(many(#"{"op":"copy","from":"/s","path":"/t"}"#, 9_999))]"
        ),
        (
            .jsonPatch, "{\"a\":{}}",
            "[\(many(#"{"op":"copy","from":"","path":"/a"},{"op":"copy","from":"/a","path":"/b"}"#, 60))]"
        ),
    ]

    @Test(arguments: heavy.indices)
    func pastTheBudgetAPatchIsRefused(place: Int) throws {
        let (kind, state, document) = Self.heavy[place]
        #expect(patch(kind, document, on: state) == .refused(.patchFailed))
        let detail = try #require(try refusal(kind, document, on: state))
        #expect(detail.contains("bytes of work") && detail.contains("split"), "\(detail)")
    }

    /// A state is charged for as well as the document, whatever little the document asks.
    @Test func theStateIsCharged() throws {
        func cost(_ state: String) throws -> Int {
            var known: ReadState?
            var cost = EvaluationCost()
            let operation = WriteOperation(
                key: try key("doc/1"), action: .patch(.merge, document: bytes(#"{"x":1}"#)))
            _ = operation.evaluate(
                current: stored(state), position: Position(8), now: noon, limits: EntityLimits(), known: &known,
                cost: &cost)
            return cost.work
        }
        let small = try cost("{}")
        for state in ["{\"s\":\"\(Self.digits(100_000))\"}", "{\"s\":[\(Self.many("[]", 30_000))]}"] {
            #expect(try cost(state) > small + state.utf8.count)
        }
    }

    @Test func whatIsUsualStaysFarBelowTheBudget() {
        let record = #"{"name":"someone","age":41,"tags":["a","b"],"at":"2024-01-01T00:00:00Z"}"#
        let state = "{\"records\":[\(Self.many(record, 13_000))]}"
        let limits = EntityLimits()
        let update = #"{"do":[{"set":"/records/12999/age","to":42},{"append":"/records","value":1}]}"#
        #expect(
            patch(.update, update, on: state, limits: limits)
                == .state(
                    state.dropLast(record.utf8.count + 2) + record.replacing("41", with: "42") + ",1]}"))
        let members = (0..<60_000).map { "\"m\($0)\":0" }.joined(separator: ",")
        #expect(patch(.merge, "{\(members)}", on: "{\(members)}") == .state("{\(members)}"))
    }

    /// Wherever a patch is given up, nothing is told of it; where it is not, it comes to what it comes to anyway.
    @Test func aPatchThatIsCutTellsNothing() throws {
        var random = SplitMix64(seed: 0x5EED_0072)
        for _ in 0..<300 {
            let members = (0..<(1 + random.below(20))).map { "\"m\($0)\":" + RandomJSON.text(&random, depth: 3) }
            let filler = "\"filler\":\"\(String(repeating: "x", count: random.pick([0, 3_000])))\""
            let current = stored("{" + (members + [filler]).joined(separator: ",") + "}")
            let (kind, document) = Self.randomPatch(&random)
            let operation = WriteOperation(key: try key("doc/1"), action: .patch(kind, document: bytes(document)))
            func evaluate(_ known: inout ReadState?, _ cost: inout EvaluationCost, upTo workMax: Int) -> Evaluation? {
                operation.evaluate(
                    current: current, position: Position(8), now: noon, limits: EntityLimits(), known: &known,
                    cost: &cost, patchWorkMax: workMax)
            }
            var known: ReadState?
            var whole = EvaluationCost()
            let outcome = try #require(evaluate(&known, &whole, upTo: .max))
            for workMax in [0, 1, whole.work / 2, whole.work - 1, whole.work, whole.work + 1] {
                var known: ReadState?
                var cost = EvaluationCost()
                switch (evaluate(&known, &cost, upTo: workMax), outcome) {
                case (nil, _): #expect(known == nil || known?.version == current.version)
                case (.refused(let left, _), .refused(let right, _)): #expect(left == right)
                case (.effect(let left, _), .effect(let right, _)): #expect(left == right && workMax >= whole.work)
                default: Issue.record("\(document) up to \(workMax)")
                }
            }
        }
    }

    @Test func aPathThatLeadsNowhereIsCheapAndChecked() {
        let slashes = String(repeating: "/", count: 500_000)
        let remove = "[{\"op\":\"remove\",\"path\":\"\(slashes)\"}]"
        #expect(patch(.jsonPatch, remove, on: "{\"\":{}}") == .refused(.patchFailed))
        let malformed = "[{\"op\":\"remove\",\"path\":\"\(slashes)~\"}]"
        #expect(patch(.jsonPatch, malformed, on: "{\"\":{}}") == .refused(.badRequest))
        let absent = "{\"if\":[{\"at\":\"\(slashes)\",\"exists\":false}],\"do\":[]}"
        #expect(patch(.update, absent, on: "{\"\":{}}") == .state("{\"\":{}}"))
    }

    // MARK: States that are kept read

    /// A random patch of the kinds of changes that meet a state at its edges.
    static func randomPatch(_ random: inout SplitMix64) -> (PatchKind, String) {
        func path() -> String {
            let tokens = ["m0", "m1", "m2", "0", "1", "-", "m19"]
            return (0..<(1 + random.below(3))).map { _ in "/" + random.pick(tokens) }.joined()
        }
        let value = RandomJSON.text(&random, depth: 2)
        switch random.below(3) {
        case 0:
            let inner = "{\"m1\":null,\"x\":\(value)}"
            return (.merge, "{\"m\(random.below(4))\":\(value),\"m\(4 + random.below(20))\":\(inner)}")
        case 1:
            let operations = (0..<(1 + random.below(3))).map { _ in
                random.pick([
                    "{\"op\":\"add\",\"path\":\"\(path())\",\"value\":\(value)}",
                    "{\"op\":\"remove\",\"path\":\"\(path())\"}",
                    "{\"op\":\"test\",\"path\":\"\(path())\",\"value\":\(value)}",
                    "{\"op\":\"copy\",\"from\":\"\(path())\",\"path\":\"\(path())\"}",
                    "{\"op\":\"move\",\"from\":\"\(path())\",\"path\":\"\(path())\"}",
                ])
            }
            return (.jsonPatch, "[\(operations.joined(separator: ","))]")
        default:
            let condition = random.pick([
                "{\"at\":\"\(path())\",\"ne\":\(value)}", "{\"at\":\"\(path())\",\"exists\":true}",
                "{\"at\":\"\(path())\",\"exists\":false}", "{\"at\":\"\",\"ne\":\(value)}",
            ])
            let operation = random.pick([
                "{\"set\":\"\(path())\",\"to\":\(value)}", "{\"increment\":\"\(path())\",\"by\":1}",
                "{\"append\":\"\(path())\",\"value\":\(value)}", "{\"max\":\"\(path())\",\"to\":7}",
            ])
            return (.update, "{\"if\":[\(condition)],\"do\":[\(operation)],\"else-create\":{}}")
        }
    }

    /// Every outcome, state and charge of a run of patches is the same whether the state is kept read between them or
    /// read anew for each.
    @Test func whatIsKnownOfAStateChangesNothing() throws {
        var random = SplitMix64(seed: 0x5EED_0071)
        for _ in 0..<300 {
            let members = (0..<(1 + random.below(30))).map { "\"m\($0)\":" + RandomJSON.text(&random, depth: 3) }
            let filler = "\"filler\":\"\(String(repeating: "x", count: random.pick([0, 3_000])))\""
            var state = "{" + (members + [filler]).joined(separator: random.pick([",", " , "])) + "}"
            var kept: ReadState?
            var version: UInt64 = 7
            for _ in 0..<12 {
                let (kind, document) = Self.randomPatch(&random)
                let operation = WriteOperation(
                    key: try key("doc/1"), action: .patch(kind, document: bytes(document)))
                var nothing: ReadState?
                var costs = (known: EvaluationCost(), anew: EvaluationCost())
                let isKnown = kept?.version == Position(version)
                let weight = isKnown ? kept?.byteCount ?? 0 : 0
                func evaluate(_ state: inout ReadState?, _ cost: inout EvaluationCost, _ text: String) -> Evaluation {
                    operation.evaluate(
                        current: stored(text, version: version), position: Position(version + 1), now: noon,
                        limits: EntityLimits(), known: &state, cost: &cost)
                }
                let anew = evaluate(&nothing, &costs.anew, state)
                let known = evaluate(&kept, &costs.known, state)
                #expect(costs.known.statesRead == (isKnown ? 0 : costs.anew.statesRead))
                switch (anew, known) {
                case (.refused(let left, _), .refused(let right, _)):
                    #expect(left.code == right.code && left.detail == right.detail, "\(document)")
                case (.effect(let left, _), .effect(let right, _)):
                    #expect(left == right, "\(document) on \(state)")
                    #expect(kept?.byteCount == nothing?.byteCount)
                    #expect(costs.known.work + (isKnown ? weight : 0) == costs.anew.work, "\(document) on \(state)")
                    state = text(try #require(left).state)
                    version += 1
                default: Issue.record("\(document) on \(state): \(anew) \(known)")
                }
            }
        }
    }
}
