import JSON

/// Compares values as conditions and tests do, and charges what it looks at. A number that is too long to be computed
/// with is a fault where it would be compared, whatever the outcome would be.
///
/// Containers are opened where they lie, so that the next comparison finds them open.
enum JSONComparison {
    /// As JSON Patch compares (RFC 6902 §4.6); looks no further than the first difference.
    static func areEqual(
        _ left: inout JSONValue, _ right: inout JSONValue, _ work: inout PatchWork
    ) throws(PatchFault) -> Bool {
        try work.spend(PatchCost.step)
        // Before the `switch`, which holds on to both: containers would be copied to be opened.
        if left.isContainer || right.isContainer { return try containersAreEqual(&left, &right, &work) }
        switch (left, right) {
        case (.null, .null): return true
        case (.bool(let left), .bool(let right)): return left == right
        case (.number(let left), .number(let right)):
            try check(left, right, &work)
            return left == right
        case (.string(let left), .string(let right)):
            try work.spend(PatchCost.compare(left, right))
            return left == right
        case (.null, _), (.bool, _), (.number, _), (.string, _), (.array, _), (.object, _), (.unread, _): return false
        }
    }

    private static func containersAreEqual(
        _ left: inout JSONValue, _ right: inout JSONValue, _ work: inout PatchWork
    ) throws(PatchFault) -> Bool {
        if left.isObject, right.isObject, var object = left.takeObject() {
            defer { left = .object(object) }
            guard var other = right.takeObject() else { return false }
            defer { right = .object(other) }
            return try areEqual(&object, &other, &work)
        }
        guard left.isArray, right.isArray, var elements = left.takeArray() else { return false }
        defer { left = .array(elements) }
        guard var others = right.takeArray() else { return false }
        defer { right = .array(others) }
        guard elements.count == others.count else { return false }
        for place in elements.indices {
            guard try areEqual(&elements[place], &others[place], &work) else { return false }
        }
        return true
    }

    /// The same names with equal values, in any order.
    private static func areEqual(
        _ left: inout JSONObject, _ right: inout JSONObject, _ work: inout PatchWork
    ) throws(PatchFault) -> Bool {
        let count = right.count
        guard left.count == count else { return false }
        return try left.whileTrue { (name, value) throws(PatchFault) in
            let content = name.content
            try work.spend(PatchCost.member(content, among: count) + name.textCount)
            return try right.update(content) { (other) throws(PatchFault) in try areEqual(&value, &other, &work) }
                ?? false
        }
    }

    /// Numbers by value and strings by code points; `nil` where the types differ or have no order.
    static func order(
        _ left: JSONValue, _ right: JSONValue, _ work: inout PatchWork
    ) throws(PatchFault) -> JSONOrdering? {
        switch (left, right) {
        case (.number(let left), .number(let right)): return try order(left, right, &work)
        case (.string(let left), .string(let right)):
            try work.spend(PatchCost.compare(left, right))
            return JSONOrdering(JSONString.compare(left, right))
        case (.null, _), (.bool, _), (.number, _), (.string, _), (.array, _), (.object, _), (.unread, _): return nil
        }
    }

    static func order(
        _ left: JSONNumber, _ right: JSONNumber, _ work: inout PatchWork
    ) throws(PatchFault) -> JSONOrdering {
        try check(left, right, &work)
        return JSONOrdering(JSONDecimal.compare(JSONDecimal(left.text), JSONDecimal(right.text)))
    }

    private static func check(
        _ left: JSONNumber, _ right: JSONNumber, _ work: inout PatchWork
    ) throws(PatchFault) {
        guard !left.isLong, !right.isLong else { throw .numberTooLong }
        try work.spend(PatchCost.compare(left, right))
    }
}

/// The order of two values of one type.
enum JSONOrdering {
    case less
    case equal
    case greater

    /// `sign` is negative, zero or positive as the left one is below, at or above the right one.
    init(_ sign: Int) { self = sign < 0 ? .less : sign == 0 ? .equal : .greater }
}
