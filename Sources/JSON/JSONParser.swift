import Primitives

/// The reading half of ``JSONValue``: recursive descent, no deeper than `Limits.jsonDepthMax`.
///
/// SAFETY: see ``JSONLexer``; ``parse(_:)`` keeps it inside the closure that gives the pointer.
struct JSONParser {
    private let source: [UInt8]
    private var lexer: JSONLexer
    private var weight = JSONWeight()

    private init(_ source: [UInt8], _ lexer: JSONLexer) {
        self.source = source
        self.lexer = lexer
    }

    /// The whole document, all of it read.
    static func parse(_ source: [UInt8]) throws(JSONError) -> JSONDocument {
        try source.withUnsafeBufferPointer { (text) throws(JSONError) -> JSONDocument in
            var parser = JSONParser(source, JSONLexer(text))
            let value = try parser.parseValue(depth: 0)
            try parser.lexer.end()
            return JSONDocument(value: value, weight: parser.weight.total(parser.lexer))
        }
    }

    /// `depth` is that of the container around the value.
    private mutating func parseValue(depth: Int) throws(JSONError) -> JSONValue {
        lexer.skipBlanks()
        switch lexer.next {
        case UInt8(ascii: "{"): return try parseObject(depth: depth + 1)
        case UInt8(ascii: "["): return try parseArray(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try parseString())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return .number(JSONNumber(JSONText(source, try lexer.number())))
        case UInt8(ascii: "t"):
            try lexer.literal("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try lexer.literal("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try lexer.literal("null")
            return .null
        default: throw lexer.fail(.unexpectedByte)
        }
    }

    private mutating func parseArray(depth: Int) throws(JSONError) -> JSONValue {
        guard depth <= Limits.jsonDepthMax else { throw lexer.fail(.tooDeep) }
        lexer.step()
        weight.addContainer()
        var elements: [JSONValue] = []
        if lexer.skip(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            weight.addElement()
            elements.append(try parseValue(depth: depth))
            if lexer.skip(UInt8(ascii: "]")) { return .array(elements) }
            try lexer.expect(UInt8(ascii: ","))
        }
    }

    private mutating func parseObject(depth: Int) throws(JSONError) -> JSONValue {
        guard depth <= Limits.jsonDepthMax else { throw lexer.fail(.tooDeep) }
        lexer.step()
        weight.addContainer()
        var object = JSONObject()
        if lexer.skip(UInt8(ascii: "}")) { return .object(object) }
        while true {
            lexer.skipBlanks()
            let nameIndex = lexer.index
            guard lexer.next == UInt8(ascii: "\"") else { throw lexer.fail(.unexpectedByte) }
            let name = try parseString()
            try lexer.expect(UInt8(ascii: ":"))
            weight.addMember()
            let value = try parseValue(depth: depth)
            guard object.append(name, value) else { throw JSONError(offset: nameIndex, reason: .duplicateName) }
            if lexer.skip(UInt8(ascii: "}")) { return .object(object) }
            try lexer.expect(UInt8(ascii: ","))
        }
    }

    private mutating func parseString() throws(JSONError) -> JSONString {
        let (text, hasEscapes) = try lexer.string()
        return JSONString(JSONText(source, text), hasEscapes: hasEscapes)
    }
}

/// What a document costs to read: its bytes without white space, and what each container, element and member takes
/// beside its text. A function of the value that is written, however it came to be.
package struct JSONWeight {
    /// Beyond the bytes.
    private(set) var structure = 0

    static let container = 8
    static let element = 16
    static let member = 48

    /// An array's, without what its elements are: brackets and commas.
    package static func of(elements count: Int) -> Int { container + 2 + count * element + max(0, count - 1) }

    /// An object's, without what its names and values are: brackets, colons and commas.
    package static func of(members count: Int) -> Int { container + 2 + count * (member + 1) + max(0, count - 1) }

    mutating func addContainer() { structure += Self.container }
    mutating func addElement() { structure += Self.element }
    mutating func addMember() { structure += Self.member }

    /// Of all that the lexer has stepped over.
    func total(_ lexer: JSONLexer) -> Int { lexer.index - lexer.blanks + structure }
}

/// A document that was read, and its ``JSONWeight``.
package struct JSONDocument: Sendable {
    package var value: JSONValue
    package var weight: Int

    package init(value: JSONValue, weight: Int) {
        self.value = value
        self.weight = weight
    }

    /// Reads a document for a patch: a small one whole, of a large one the places that are touched. Both come to the
    /// same. Stops with ``JSONError/Reason/tooHeavy`` where its weight passes `weightMax`.
    package static func read(
        _ text: [UInt8], weightMax: Int, wholeBytesMax: Int = Limits.jsonReadWholeBytesMax
    ) throws(JSONError) -> JSONDocument {
        guard text.count <= wholeBytesMax else { return try JSONScan.open(text, weightMax: weightMax) }
        let document = try JSONParser.parse(text)
        guard document.weight <= weightMax else { throw JSONError(offset: text.count, reason: .tooHeavy) }
        return document
    }
}
