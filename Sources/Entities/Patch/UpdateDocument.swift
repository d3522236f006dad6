import JSON
import Primitives

/// `application/vnd.keystead.update+json`: `{"if":[COND…],"do":[OP…],"else-create":V?}`, conditions and operations in
/// one turn of the entity's queue, all or nothing.
///
/// | operation | what it does | 422 `patch-failed` where |
/// | --- | --- | --- |
/// | `{"set":PTR,"to":V}` | a member that need not exist, an element, or the whole | no parent; no element |
/// | `{"remove":PTR}` | takes out a member or an element | there is none; it is the whole |
/// | `{"increment":PTR,"by":N}` | adds to a 64-bit integer | there is none; a fraction; overflow |
/// | `{"append":PTR,"value":V}` | adds an element at the end of an array | there is none |
/// | `{"max":PTR,"to":N}` | puts N for a number below it | there is none |
/// | `{"min":PTR,"to":N}` | puts N for a number above it | there is none |
///
/// Numbers are compared exactly, by value; `1`, `1.0` and `10e-1` are the integer 1.
///
/// A condition is `{"at":PTR,"eq"|"ne"|"lt"|"lte"|"gt"|"gte":V}` or `{"at":PTR,"exists":BOOL}`. `eq` compares as JSON
/// Patch does. `ne` needs two values of one type. Numbers are ordered by value and strings by code points; nothing else
/// has an order.
///
/// Where the entity is absent and `else-create` is there, its value is the state that conditions and operations start
/// from.
struct UpdateDocument {
    let elseCreate: JSONValue?
    private let conditions: [UpdateCondition]
    private let operations: [UpdateOperation]

    init(_ document: JSONValue) throws(Problem) {
        let reader = try PatchReader(document, what: "the update document")
        try reader.allow("if", "do", "else-create")
        guard reader.object["do"] != nil else { throw reader.malformed("it has no \"do\"") }
        let conditionElements = try reader.elements("if")
        let operationElements = try reader.elements("do")
        try PatchReader.checkCount(conditionElements.count + operationElements.count)
        var conditions: [UpdateCondition] = []
        for (place, element) in conditionElements.enumerated() {
            conditions.append(try UpdateCondition(PatchReader(element, what: "condition", place: place)))
        }
        var operations: [UpdateOperation] = []
        for (place, element) in operationElements.enumerated() {
            operations.append(try UpdateOperation(PatchReader(element, what: "operation", place: place)))
        }
        self.conditions = conditions
        self.operations = operations
        elseCreate = reader.object["else-create"]
    }

    func apply(to editor: inout JSONEditor) throws(Problem) {
        for (place, condition) in conditions.enumerated() {
            let holds: Bool
            do {
                holds = try condition.holds(in: &editor)
            } catch {
                throw error.problem("condition", place: place, name: condition.name, path: condition.path)
            }
            guard holds else {
                throw Problem(
                    .conditionFailed, "condition \(place) (\(condition.path.shown) \(condition.name)) does not hold")
            }
        }
        for (place, operation) in operations.enumerated() {
            do {
                try operation.run(on: &editor)
            } catch {
                throw error.problem(place: place, name: operation.name, path: operation.path)
            }
        }
    }
}

struct UpdateCondition {
    let name: StaticString
    let path: JSONPointer
    private let test: Test

    /// The member that says what a condition asks.
    private enum Name: CaseIterable {
        case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, exists

        var text: StaticString {
            switch self {
            case .equal: "eq"
            case .notEqual: "ne"
            case .less: "lt"
            case .lessOrEqual: "lte"
            case .greater: "gt"
            case .greaterOrEqual: "gte"
            case .exists: "exists"
            }
        }
    }

    private enum Test {
        case equal(JSONValue)
        case notEqual(JSONValue)
        case ordered(JSONValue, holds: (JSONOrdering) -> Bool)
        case exists(Bool)
    }

    init(_ reader: PatchReader) throws(Problem) {
        path = try reader.pointer("at")
        guard reader.object.count == 2, let name = Name.allCases.first(where: { reader.object[$0.text] != nil }) else {
            throw reader.malformed("beside \"at\" it has exactly one of eq, ne, lt, lte, gt, gte and exists")
        }
        self.name = name.text
        let value = try reader.value(name.text)
        switch name {
        case .equal: test = .equal(value)
        case .notEqual: test = .notEqual(value)
        case .less: test = .ordered(value) { $0 == .less }
        case .lessOrEqual: test = .ordered(value) { $0 != .greater }
        case .greater: test = .ordered(value) { $0 == .greater }
        case .greaterOrEqual: test = .ordered(value) { $0 != .less }
        case .exists:
            guard case .bool(let exists) = value else {
                throw reader.malformed("its \"exists\" is neither true nor false")
            }
            test = .exists(exists)
        }
    }

    func holds(in editor: inout JSONEditor) throws(PatchFault) -> Bool {
        let holds = try editor.look(at: path) { (found, work) throws(PatchFault) -> Bool in
            switch test {
            case .equal(let value):
                var value = value
                return try JSONComparison.areEqual(&found, &value, &work)
            case .notEqual(let value):
                guard found.isSameType(as: value) else { return false }
                var value = value
                return try !JSONComparison.areEqual(&found, &value, &work)
            case .ordered(let value, let holds):
                return try JSONComparison.order(found, value, &work).map(holds) ?? false
            case .exists(let exists): return exists
            }
        }
        if case .exists(let exists) = test, holds == nil { return !exists }
        return holds ?? false
    }
}
