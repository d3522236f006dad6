import JSON

/// One operation of an ``UpdateDocument``.
struct UpdateOperation {
    let name: StaticString
    let path: JSONPointer
    private let verb: Verb

    /// The member that says what an operation does.
    private enum Name: CaseIterable {
        case set, remove, increment, append, max, min

        var text: StaticString {
            switch self {
            case .set: "set"
            case .remove: "remove"
            case .increment: "increment"
            case .append: "append"
            case .max: "max"
            case .min: "min"
            }
        }
    }

    private enum Verb {
        case set(JSONValue)
        case remove
        case increment(JSONNumber)
        case append(JSONValue)
        case max(JSONNumber)
        case min(JSONNumber)
    }

    init(_ reader: PatchReader) throws(Problem) {
        guard let name = Name.allCases.first(where: { reader.object[$0.text] != nil }) else {
            throw reader.malformed("it is none of set, remove, increment, append, max and min")
        }
        self.name = name.text
        path = try reader.pointer(name.text)
        switch name {
        case .set:
            try reader.allow("set", "to")
            verb = .set(try reader.value("to"))
        case .remove:
            try reader.allow("remove")
            verb = .remove
        case .increment:
            try reader.allow("increment", "by")
            verb = .increment(try reader.number("by"))
        case .append:
            try reader.allow("append", "value")
            verb = .append(try reader.value("value"))
        case .max:
            try reader.allow("max", "to")
            verb = .max(try reader.number("to"))
        case .min:
            try reader.allow("min", "to")
            verb = .min(try reader.number("to"))
        }
    }

    func run(on editor: inout JSONEditor) throws(PatchFault) {
        switch verb {
        case .set(let value): try editor.set(value, at: path)
        case .remove: try editor.remove(at: path)
        case .increment(let amount):
            try editor.change(at: path) { (value, work) throws(PatchFault) in
                value = .number(try Self.sum(value, amount, &work))
            }
        case .append(let element): try editor.append(element, at: path)
        case .max(let bound): try Self.bound(bound, at: path, of: &editor) { $0 == .less }
        case .min(let bound): try Self.bound(bound, at: path, of: &editor) { $0 == .greater }
        }
    }

    private static func sum(
        _ value: JSONValue, _ amount: JSONNumber, _ work: inout PatchWork
    ) throws(PatchFault) -> JSONNumber {
        guard case .number(let number) = value else { throw .notANumber }
        guard !number.isLong, !amount.isLong else { throw .numberTooLong }
        try work.spend(PatchCost.compare(number, amount))
        guard let current = number.int64 else { throw .notAnInteger }
        switch amount.integer {
        case .fractional: throw .fractional
        case .tooLarge: throw .overflow
        case .exact(let amount):
            let (sum, overflow) = current.addingReportingOverflow(amount)
            guard !overflow else { throw .overflow }
            return JSONNumber(sum)
        }
    }

    /// Replaces the number at `path` by `bound` where its order to that `isBeyond` it.
    private static func bound(
        _ bound: JSONNumber, at path: JSONPointer, of editor: inout JSONEditor, _ isBeyond: (JSONOrdering) -> Bool
    ) throws(PatchFault) {
        try editor.change(at: path) { (value, work) throws(PatchFault) in
            guard case .number(let number) = value else { throw .notANumber }
            if isBeyond(try JSONComparison.order(number, bound, &work)) { value = .number(bound) }
        }
    }
}
