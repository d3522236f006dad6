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
    case tooMuchWork

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
        case .tooMuchWork: "the patch moves or copies too much in one request; split it"
        }
    }
}

/// A document being changed. After a fault it is half changed and to be thrown away.
struct JSONEditor {
    private(set) var root: JSONValue
    /// What copying and shifting may still cost, in values copied.
    private var work: Int

    /// What a patch may cost for each byte of state and document, and for each byte that a state may have: enough for
    /// what a caller means, too little for one request to hold its shard's loop.
    private static let workPerByte = 8
    private static let workPerByteAllowed = 2
    /// Shifting an array's element costs this much less than copying a value.
    private static let shiftsPerCopy = 16

    /// - Parameters:
    ///   - byteCount: bytes of the state and the patch document together.
    ///   - bytesMax: bytes that a state may have.
    init(_ root: JSONValue, byteCount: Int, bytesMax: Int) {
        self.root = root
        work = Self.workPerByteAllowed * bytesMax + Self.workPerByte * byteCount
    }

    /// `nil` where there is nothing at `pointer`.
    func find(_ pointer: JSONPointer) -> JSONValue? {
        var value = root
        for token in pointer.tokens {
            switch value {
            case .object(let object):
                guard let member = object[token] else { return nil }
                value = member
            case .array(let elements):
                guard let index = JSONPointer.arrayIndex(token), index < elements.count else { return nil }
                value = elements[index]
            default: return nil
            }
        }
        return value
    }

    func value(at pointer: JSONPointer) throws(PatchFault) -> JSONValue {
        guard let value = find(pointer) else { throw .missing }
        return value
    }

    /// Puts `value` where RFC 6902 §4.1 has it: a member is added or replaced, an element inserted before its index.
    mutating func add(_ value: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        _ = try Self.measure(value, depth: pointer.tokens.count)
        try insert(value, at: pointer)
    }

    /// ``add(_:at:)`` of a value that is known to lie no deeper than it may.
    private mutating func insert(_ value: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        guard let last = pointer.tokens.last else {
            root = value
            return
        }
        var shifted = 0
        try change(at: pointer.tokens.dropLast(), missing: .missingParent) { (parent) throws(PatchFault) in
            if var object = parent.takeObject() {
                object.set(JSONString(content: last), value)
                parent = .object(object)
            } else if var elements = parent.takeArray() {
                let index = last == [UInt8(ascii: "-")] ? elements.count : JSONPointer.arrayIndex(last)
                guard let index, index <= elements.count else { throw .indexOutOfRange }
                shifted = elements.count - index
                elements.insert(value, at: index)
                parent = .array(elements)
            } else {
                throw .notAContainer
            }
        }
        try spend(shifted / Self.shiftsPerCopy)
    }

    /// Takes out what is at `pointer`, which must exist and not be the whole document.
    @discardableResult
    mutating func remove(at pointer: JSONPointer) throws(PatchFault) -> JSONValue {
        guard let last = pointer.tokens.last else { throw .removesRoot }
        var shifted = 0
        let value = try change(at: pointer.tokens.dropLast(), missing: .missing) {
            (parent) throws(PatchFault) -> JSONValue in
            if var object = parent.takeObject() {
                guard let value = object.remove(last) else { throw .missing }
                parent = .object(object)
                return value
            }
            guard var elements = parent.takeArray(), let index = JSONPointer.arrayIndex(last), index < elements.count
            else { throw .missing }
            let value = elements.remove(at: index)
            shifted = elements.count - index
            parent = .array(elements)
            return value
        }
        try spend(shifted / Self.shiftsPerCopy)
        return value
    }

    /// Puts `value` in the place of what is at `pointer`, which must exist.
    mutating func replace(with value: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        _ = try Self.measure(value, depth: pointer.tokens.count)
        try change(at: pointer) { $0 = value }
    }

    /// Puts `value` at `pointer`: the whole document, a member that need not exist, or an element that must.
    mutating func set(_ value: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        _ = try Self.measure(value, depth: pointer.tokens.count)
        guard let last = pointer.tokens.last else {
            root = value
            return
        }
        try change(at: pointer.tokens.dropLast(), missing: .missingParent) { (parent) throws(PatchFault) in
            if var object = parent.takeObject() {
                object.set(JSONString(content: last), value)
                parent = .object(object)
            } else if var elements = parent.takeArray() {
                guard let index = JSONPointer.arrayIndex(last), index < elements.count else { throw .indexOutOfRange }
                elements[index] = value
                parent = .array(elements)
            } else {
                throw .notAContainer
            }
        }
    }

    /// Adds an element at the end of the array at `pointer`, which must exist.
    mutating func append(_ element: JSONValue, at pointer: JSONPointer) throws(PatchFault) {
        _ = try Self.measure(element, depth: pointer.tokens.count + 1)
        try change(at: pointer) { (value) throws(PatchFault) in
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
        if pointer.tokens.count > from.tokens.count { try spend(Self.measure(value, depth: pointer.tokens.count)) }
        try insert(value, at: pointer)
    }

    mutating func copy(from: JSONPointer, to pointer: JSONPointer) throws(PatchFault) {
        let value = try value(at: from)
        try spend(Self.measure(value, depth: pointer.tokens.count))
        try insert(value, at: pointer)
    }

    /// Changes what is at `pointer`, which must exist, in place.
    mutating func change<Result>(
        at pointer: JSONPointer, _ body: (inout JSONValue) throws(PatchFault) -> Result
    ) throws(PatchFault) -> Result {
        try change(at: pointer.tokens[...], missing: .missing, body)
    }
}

extension JSONEditor {
    private mutating func change<Result>(
        at path: ArraySlice<ArraySlice<UInt8>>, missing: PatchFault,
        _ body: (inout JSONValue) throws(PatchFault) -> Result
    ) throws(PatchFault) -> Result {
        try Self.change(&root, at: path, missing: missing, body)
    }

    /// Each container is taken out of its place on the way down and put back on the way up, so that it is changed where
    /// it lies and not copied.
    private static func change<Result>(
        _ value: inout JSONValue, at path: ArraySlice<ArraySlice<UInt8>>, missing: PatchFault,
        _ body: (inout JSONValue) throws(PatchFault) -> Result
    ) throws(PatchFault) -> Result {
        guard let token = path.first else { return try body(&value) }
        if var object = value.takeObject() {
            defer { value = .object(object) }
            let result = try object.update(token) { (member) throws(PatchFault) in
                try change(&member, at: path.dropFirst(), missing: missing, body)
            }
            guard let result else { throw missing }
            return result
        }
        guard var elements = value.takeArray() else { throw missing }
        defer { value = .array(elements) }
        guard let index = JSONPointer.arrayIndex(token), index < elements.count else { throw missing }
        return try change(&elements[index], at: path.dropFirst(), missing: missing, body)
    }

    /// The number of values in `value`, which lies in `depth` containers, if none is nested too deep there.
    private static func measure(_ value: JSONValue, depth: Int) throws(PatchFault) -> Int {
        guard value.isContainer else { return 1 }
        guard depth < Limits.jsonDepthMax else { throw .tooDeep }
        var count = 1
        switch value {
        case .array(let elements):
            for element in elements { count += try measure(element, depth: depth + 1) }
        case .object(let object):
            try object.forEach { (_, member) throws(PatchFault) in count += try measure(member, depth: depth + 1) }
        default: break
        }
        return count
    }

    private mutating func spend(_ cost: Int) throws(PatchFault) {
        work -= cost
        guard work >= 0 else { throw .tooMuchWork }
    }
}

extension JSONValue {
    /// Gives up its elements and becomes null; `nil`, and nothing happens, where this is no array.
    ///
    /// In a function of its own, so that no second reference to the storage outlives it: the caller then changes the
    /// elements where they lie, where a `switch` over the value would make it copy them first.
    mutating func takeArray() -> [JSONValue]? {
        guard case .array(let elements) = self else { return nil }
        self = .null
        return elements
    }

    /// ``takeArray()`` for the members of an object.
    mutating func takeObject() -> JSONObject? {
        guard case .object(let object) = self else { return nil }
        self = .null
        return object
    }
}
