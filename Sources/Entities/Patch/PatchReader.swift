import JSON
import Primitives

/// One object of a patch document, read member by member; what is missing or of the wrong type is 400 `bad-request`,
/// named by its place in the document.
struct PatchReader {
    let object: JSONObject
    private let what: String
    private let place: Int?

    /// - Parameters:
    ///   - what: "operation" or "condition", or the document itself.
    ///   - place: its index, counted from 0.
    init(_ value: JSONValue, what: String, place: Int? = nil) throws(Problem) {
        self.what = what
        self.place = place
        guard case .object(let object) = value.opened else {
            self.object = JSONObject()
            throw malformed("it is not an object")
        }
        self.object = object
    }

    func malformed(_ reason: String) -> Problem {
        let name = place.map { "\(what) \($0)" } ?? what
        return Problem(.badRequest, "\(name) is malformed: \(reason)")
    }

    func value(_ name: StaticString) throws(Problem) -> JSONValue {
        guard let value = object[name] else { throw malformed("it has no \"\(name)\"") }
        return value
    }

    func string(_ name: StaticString) throws(Problem) -> JSONString {
        guard case .string(let string) = try value(name) else { throw malformed("its \"\(name)\" is not a string") }
        return string
    }

    func number(_ name: StaticString) throws(Problem) -> JSONNumber {
        guard case .number(let number) = try value(name) else { throw malformed("its \"\(name)\" is not a number") }
        return number
    }

    func pointer(_ name: StaticString) throws(Problem) -> JSONPointer {
        guard let pointer = JSONPointer(try string(name).content) else {
            throw malformed("its \"\(name)\" is no JSON Pointer (RFC 6901): it begins with /, and ~ stands in ~0 or ~1")
        }
        return pointer
    }

    /// The elements of an array member; empty where the member is missing.
    func elements(_ name: StaticString) throws(Problem) -> [JSONValue] {
        guard let value = object[name] else { return [] }
        guard case .array(let elements) = value.opened else { throw malformed("its \"\(name)\" is not an array") }
        return elements
    }

    /// Refuses members that are not among `names`: a misspelt one must not be passed over.
    func allow(_ names: StaticString...) throws(Problem) {
        let isKnown = object.allSatisfy { name, _ in
            names.contains { known in known.withUTF8Buffer { name.contentEquals($0) } }
        }
        guard isKnown else {
            throw malformed("it has a member other than " + names.map { "\"\($0)\"" }.joined(separator: ", "))
        }
    }

    static func checkCount(_ count: Int) throws(Problem) {
        guard count <= Limits.patchOperationsMax else {
            throw Problem(
                .entityTooLarge,
                "a patch has at most \(Limits.patchOperationsMax) operations and conditions; this one has \(count)")
        }
    }
}

extension PatchFault {
    /// - Parameter what: "operation" or "condition".
    func problem(_ what: StaticString = "operation", place: Int, name: StaticString, path: JSONPointer) -> Problem {
        Problem(.patchFailed, "\(what) \(place) (\(name) \(path.shown)): \(detail)")
    }
}

extension JSONPointer {
    private static let shownBytesMax = 120

    /// Quoted and cut to a length for messages.
    var shown: String {
        guard text.count > Self.shownBytesMax else { return "\"\(String(decoding: text, as: UTF8.self))\"" }
        return "\"\(String(decoding: text.prefix(Self.shownBytesMax), as: UTF8.self))…\""
    }
}
