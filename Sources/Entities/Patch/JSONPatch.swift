import JSON
import Primitives

/// JSON Patch (RFC 6902): operations applied in order, all or none.
struct JSONPatch {
    private let operations: [Operation]

    private struct Operation {
        let name: StaticString
        let verb: Verb
        let path: JSONPointer
    }

    private enum Verb {
        case add(JSONValue)
        case remove
        case replace(JSONValue)
        case move(from: JSONPointer)
        case copy(from: JSONPointer)
        case test(JSONValue)
    }

    /// Reads the whole patch before any of it runs. Members that an operation does not define are ignored (RFC
    /// 6902 §4).
    init(_ document: JSONValue) throws(Problem) {
        guard case .array(let elements) = document.opened else {
            throw Problem(.badRequest, "a JSON Patch is an array of operations (RFC 6902)")
        }
        try PatchReader.checkCount(elements.count)
        var operations: [Operation] = []
        operations.reserveCapacity(elements.count)
        for (place, element) in elements.enumerated() {
            let reader = try PatchReader(element, what: "operation", place: place)
            operations.append(try Self.operation(reader))
        }
        self.operations = operations
    }

    private static func operation(_ reader: PatchReader) throws(Problem) -> Operation {
        let name = try reader.string("op")
        let path = try reader.pointer("path")
        let (known, verb): (StaticString, Verb) =
            switch text(name) {
            case "add": ("add", .add(try reader.value("value")))
            case "remove": ("remove", .remove)
            case "replace": ("replace", .replace(try reader.value("value")))
            case "move": ("move", .move(from: try reader.pointer("from")))
            case "copy": ("copy", .copy(from: try reader.pointer("from")))
            case "test": ("test", .test(try reader.value("value")))
            default: throw reader.malformed("its \"op\" is none of add, remove, replace, move, copy and test")
            }
        return Operation(name: known, verb: verb, path: path)
    }

    private static func text(_ name: JSONString) -> String { String(decoding: name.content, as: UTF8.self) }

    func apply(to editor: inout JSONEditor) throws(Problem) {
        for (place, operation) in operations.enumerated() {
            do {
                try Self.run(operation, on: &editor)
            } catch {
                throw error.problem(place: place, name: operation.name, path: operation.path)
            }
        }
    }

    private static func run(_ operation: Operation, on editor: inout JSONEditor) throws(PatchFault) {
        switch operation.verb {
        case .add(let value): try editor.add(value, at: operation.path)
        case .remove: try editor.remove(at: operation.path)
        case .replace(let value): try editor.replace(with: value, at: operation.path)
        case .move(let from): try editor.move(from: from, to: operation.path)
        case .copy(let from): try editor.copy(from: from, to: operation.path)
        case .test(let expected):
            var expected = expected
            let isThere = try editor.look(at: operation.path) { (value, work) throws(PatchFault) in
                try JSONComparison.areEqual(&value, &expected, &work)
            }
            guard let isThere else { throw .missing }
            guard isThere else { throw .unexpectedValue }
        }
    }
}
