import JSON
import Primitives

/// Why a change cannot be made to a document.
enum PatchFault: Error {
    case missing
    case missingParent
    case notAContainer
    case indexOutOfRange
    case removesRoot
    case movesIntoItself
    case unexpectedValue
    case notANumber
    case notAnArray
    case notAnInteger
    case fractional
    case overflow
    case tooDeep
    case numberTooLong
    /// It costs more than the bytes of work that are allowed.
    case tooMuchWork(allowed: Int)

    var detail: String {
        switch self {
        case .missing: "there is nothing at its path"
        case .missingParent: "the parent of its path does not exist"
        case .notAContainer: "the parent of its path is neither an object nor an array"
        case .indexOutOfRange: "its path ends in no index of that array"
        case .removesRoot: "a patch cannot remove the whole state; delete the entity instead"
        case .movesIntoItself: "a value cannot be moved into itself"
        case .unexpectedValue: "the value at its path is not the one that the test names"
        case .notANumber: "the value at its path is not a number"
        case .notAnArray: "the value at its path is not an array"
        case .notAnInteger: "the value at its path is not a 64-bit integer"
        case .fractional: "it would add a fraction; only integers are added"
        case .overflow: "the result is beyond a signed 64-bit integer"
        case .tooDeep: "the result is more than \(Limits.jsonDepthMax) containers deep"
        case .numberTooLong:
            "a number of more than \(Limits.numberDigitsMax) digits is neither compared nor computed with"
        case .tooMuchWork(let allowed): PatchWork.sentence(allowed: allowed)
        }
    }
}

/// A document being changed. After a fault it may be half changed, see ``isChanged``.
struct JSONEditor {
    private(set) var root: JSONValue
    private(set) var work: PatchWork
    /// A change has begun: the document may be neither the one from before nor the one that was meant.
    private(set) var isChanged = false

    init(_ root: consuming JSONValue, work: PatchWork) {
        self.root = root
        self.work = work
    }

    /// What is at `pointer`, given to `body` where it lies; `body` may open containers and must not change the value.
    /// `nil` where there is nothing.
    mutating func look<Result>(
        at pointer: JSONPointer, _ body: (inout JSONValue, inout PatchWork) throws(PatchFault) -> Result
    ) throws(PatchFault) -> Result? {
        try Self.reach(&root, at: pointer.tokens[...], &work, body)
    }

    private mutating func value(at pointer: JSONPointer) throws(PatchFault) -> JSONValue {
        let value = try look(at: pointer) { (value, _) throws(PatchFault) in value }
        guard let value else { throw .missing }
        return value
    }

    /// Puts `value` where RFC 6902 §4.1 has it: a member is added or replaced, an element inserted before its index.
    mutating func add(_ value: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        try Self.checkDepth(value, depth: pointer.tokens.count, &work)
        try insert(value, at: pointer)
    }

    /// ``add(_:at:)`` of a value that is known to lie no deeper than it may.
    private mutating func insert(_ value: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        guard let last = pointer.tokens.last else {
            isChanged = true
            root = value
            return
        }
        try change(at: pointer.tokens.dropLast(), missing: .missingParent) { (parent, work) throws(PatchFault) in
            if var object = parent.takeObject() {
                defer { parent = .object(object) }
                try work.spend(2 * PatchCost.member(last, among: object.count))
                object.set(JSONString(content: last), value)
            } else if var elements = parent.takeArray() {
                defer { parent = .array(elements) }
                let index = last == [UInt8(ascii: "-")] ? elements.count : JSONPointer.arrayIndex(last)
                guard let index, index <= elements.count else { throw .indexOutOfRange }
                try work.spend(PatchCost.shift(elements.count - index, of: elements.count))
                elements.insert(value, at: index)
            } else {
                throw .notAContainer
            }
        }
    }

    /// Takes out what is at `pointer`, which must exist and not be the whole document.
    @discardableResult
    mutating func remove(at pointer: JSONPointer) throws(PatchFault) -> JSONValue {
        guard let last = pointer.tokens.last else { throw .removesRoot }
        return try change(at: pointer.tokens.dropLast(), missing: .missing) {
            (parent, work) throws(PatchFault) -> JSONValue in
            if var object = parent.takeObject() {
                defer { parent = .object(object) }
                try work.spend(PatchCost.member(last, among: object.count))
                guard let value = object.remove(last) else { throw .missing }
                return value
            }
            guard var elements = parent.takeArray() else { throw .missing }
            defer { parent = .array(elements) }
            guard let index = JSONPointer.arrayIndex(last), index < elements.count else { throw .missing }
            try work.spend(PatchCost.shift(elements.count - index, of: elements.count))
            return elements.remove(at: index)
        }
    }

    /// Puts `value` in the place of what is at `pointer`, which must exist.
    mutating func replace(with value: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        try Self.checkDepth(value, depth: pointer.tokens.count, &work)
        try change(at: pointer) { (old, _) throws(PatchFault) in old = value }
    }

    /// Puts `value` at `pointer`: the whole document, a member that need not exist, or an element that must.
    mutating func set(_ value: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        try Self.checkDepth(value, depth: pointer.tokens.count, &work)
        guard let last = pointer.tokens.last else {
            isChanged = true
            root = value
            return
        }
        try change(at: pointer.tokens.dropLast(), missing: .missingParent) { (parent, work) throws(PatchFault) in
            if var object = parent.takeObject() {
                defer { parent = .object(object) }
                try work.spend(2 * PatchCost.member(last, among: object.count))
                object.set(JSONString(content: last), value)
            } else if var elements = parent.takeArray() {
                defer { parent = .array(elements) }
                guard let index = JSONPointer.arrayIndex(last), index < elements.count else { throw .indexOutOfRange }
                elements[index] = value
            } else {
                throw .notAContainer
            }
        }
    }

    /// Adds an element at the end of the array at `pointer`, which must exist.
    mutating func append(_ element: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        try Self.checkDepth(element, depth: pointer.tokens.count + 1, &work)
        try change(at: pointer) { (value, _) throws(PatchFault) in
            guard var elements = value.takeArray() else { throw .notAnArray }
            elements.append(element)
            value = .array(elements)
        }
    }

    mutating func move(from: JSONPointer, to pointer: JSONPointer) throws(PatchFault) {
        guard !from.isProperPrefix(of: pointer) else { throw .movesIntoItself }
        guard from.tokens != pointer.tokens else {
            _ = try value(at: from)
            return
        }
        let value = try remove(at: from)
        // A value that does not go deeper cannot make the document deeper, so a rename is not measured.
        if pointer.tokens.count > from.tokens.count {
            try Self.checkDepth(value, depth: pointer.tokens.count, &work)
        }
        try insert(value, at: pointer)
    }

    mutating func copy(from: JSONPointer, to pointer: JSONPointer) throws(PatchFault) {
        let value = try value(at: from)
        try Self.checkDepth(value, depth: pointer.tokens.count, &work)
        try insert(value, at: pointer)
    }

    /// Changes what is at `pointer`, which must exist, in place.
    mutating func change<Result>(
        at pointer: JSONPointer, _ body: (inout JSONValue, inout PatchWork) throws(PatchFault) -> Result
    ) throws(PatchFault) -> Result {
        try change(at: pointer.tokens[...], missing: .missing, body)
    }
}

extension JSONEditor {
    private mutating func change<Result>(
        at path: ArraySlice<ArraySlice<UInt8>>, missing: PatchFault,
        _ body: (inout JSONValue, inout PatchWork) throws(PatchFault) -> Result
    ) throws(PatchFault) -> Result {
        isChanged = true
        let result = try Self.reach(&root, at: path, &work, body)
        guard let result else { throw missing }
        return result
    }

    /// Each container is taken out of its place on the way down and put back on the way up, so that it is changed where
    /// it lies and not copied. `nil` where there is nothing at `path`.
    private static func reach<Result>(
        _ value: inout JSONValue, at path: ArraySlice<ArraySlice<UInt8>>, _ work: inout PatchWork,
        _ body: (inout JSONValue, inout PatchWork) throws(PatchFault) -> Result
    ) throws(PatchFault) -> Result? {
        guard let token = path.first else { return try body(&value, &work) }
        if var object = value.takeObject() {
            defer { value = .object(object) }
            try work.spend(PatchCost.member(token, among: object.count))
            let result = try object.update(token) { (member) throws(PatchFault) in
                try reach(&member, at: path.dropFirst(), &work, body)
            }
            return result ?? nil
        }
        guard var elements = value.takeArray() else { return nil }
        defer { value = .array(elements) }
        try work.spend(PatchCost.step)
        guard let index = JSONPointer.arrayIndex(token), index < elements.count else { return nil }
        return try reach(&elements[index], at: path.dropFirst(), &work, body)
    }

    /// Charges for `value`, which comes to lie in `depth` containers, and checks that nothing in it is nested too deep
    /// there.
    private static func checkDepth(
        _ value: JSONValue, depth: Int, _ work: inout PatchWork
    ) throws(PatchFault) {
        guard try depth + measure(value, &work) <= Limits.jsonDepthMax else { throw .tooDeep }
    }

    /// How many containers `value` is deep. Its ``JSONWeight`` is charged, which bounds the walk however often a patch
    /// has copied one part of the document into another.
    private static func measure(_ value: JSONValue, _ work: inout PatchWork) throws(PatchFault) -> Int {
        switch value {
        case .null, .bool(true): try work.spend(4)
        case .bool(false): try work.spend(5)
        case .number(let number): try work.spend(number.textCount)
        case .string(let string): try work.spend(string.encodedCount)
        case .unread(let unread):
            try work.spend(unread.weight)
            return unread.height
        case .array(let elements):
            try work.spend(JSONWeight.of(elements: elements.count))
            var height = 0
            for element in elements { height = max(height, try measure(element, &work)) }
            return height + 1
        case .object(let object):
            try work.spend(JSONWeight.of(members: object.count))
            var height = 0
            try object.forEach { (name, member) throws(PatchFault) in
                try work.spend(name.encodedCount)
                height = max(height, try measure(member, &work))
            }
            return height + 1
        }
        return 0
    }
}
