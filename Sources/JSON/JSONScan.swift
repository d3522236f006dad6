import Primitives

/// Checks a text by the rules of ``JSONParser`` without making anything of it, and notes what a later, partial reading
/// needs: where each container ends.
///
/// SAFETY: see ``JSONLexer``.
struct JSONScan {
    private let source: [UInt8]
    private var lexer: JSONLexer
    private var weight = JSONWeight()
    private let weightMax: Int
    private let notesContainers: Bool
    private var containers: [JSONSource.Container] = []
    private var longNumbers = 0
    private var hasLineBreaks = false
    /// The names of the objects that are open, the innermost last.
    private var names: [Name] = []

    private struct Name {
        let start: UInt32
        let length: UInt32
        let hasEscapes: Bool
    }

    /// Up to so many names are compared one by one.
    private static let comparedMax = 8

    private init(_ source: [UInt8], _ lexer: JSONLexer, weightMax: Int, notesContainers: Bool) {
        self.source = source
        self.lexer = lexer
        self.weightMax = weightMax
        self.notesContainers = notesContainers
    }

    /// Checks a whole document, and says how much white space it has outside of its strings.
    static func check(_ source: [UInt8]) throws(JSONError) -> (blanks: Int, weight: Int) {
        let scan = try run(source, weightMax: .max, notesContainers: false)
        return (scan.lexer.blanks, scan.weight.total(scan.lexer))
    }

    /// Reads a document so far that its containers can be opened one by one. Stops with ``JSONError/Reason/tooHeavy``
    /// where its weight passes `weightMax`.
    static func open(_ source: [UInt8], weightMax: Int) throws(JSONError) -> JSONDocument {
        var source = source
        var scan = try run(source, weightMax: weightMax, notesContainers: true)
        if scan.lexer.blanks > 0 {
            source = compacted(source, blanks: scan.lexer.blanks)
            scan = try run(source, weightMax: weightMax, notesContainers: true)
        }
        let weight = scan.weight.total(scan.lexer)
        guard !scan.containers.isEmpty else {
            return JSONDocument(value: try JSONParser.parse(source).value, weight: weight)
        }
        let whole = JSONSource(bytes: source, containers: scan.containers)
        return JSONDocument(value: .unread(JSONUnread(source: whole, start: 0, place: 0)), weight: weight)
    }

    private static func run(
        _ source: [UInt8], weightMax: Int, notesContainers: Bool
    ) throws(JSONError) -> JSONScan {
        try source.withUnsafeBufferPointer { (text) throws(JSONError) -> JSONScan in
            var scan = JSONScan(source, JSONLexer(text), weightMax: weightMax, notesContainers: notesContainers)
            _ = try scan.value(depth: 0)
            try scan.lexer.end()
            try scan.checkWeight()
            return scan
        }
    }

    /// A checked document without the white space outside of its strings.
    static func compacted(_ source: [UInt8], blanks: Int) -> [UInt8] {
        guard blanks > 0 else { return source }
        var output: [UInt8] = []
        output.reserveCapacity(source.count - blanks)
        var isInString = false
        var isEscaped = false
        for byte in source {
            if isInString {
                isInString = isEscaped || byte != UInt8(ascii: "\"")
                isEscaped = !isEscaped && byte == UInt8(ascii: "\\")
            } else if byte == UInt8(ascii: "\"") {
                isInString = true
            } else if byte <= 0x20 {
                continue
            }
            output.append(byte)
        }
        return output
    }

    private func checkWeight() throws(JSONError) {
        guard weight.total(lexer) <= weightMax else { throw JSONError(offset: lexer.index, reason: .tooHeavy) }
    }
}

// MARK: Values

extension JSONScan {
    /// Steps over one value. How many containers it is deep.
    private mutating func value(depth: Int) throws(JSONError) -> Int {
        lexer.skipBlanks()
        switch lexer.next {
        case UInt8(ascii: "{"):
            return try container(depth: depth + 1) { (scan) throws(JSONError) in
                try scan.members(depth: depth + 1)
            }
        case UInt8(ascii: "["):
            return try container(depth: depth + 1) { (scan) throws(JSONError) in
                try scan.elements(depth: depth + 1)
            }
        case UInt8(ascii: "\""): _ = try lexer.string()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            let range = try lexer.number()
            if range.count > Limits.numberDigitsMax, JSONNumber(JSONText(source, range)).isLong { longNumbers += 1 }
        case UInt8(ascii: "t"): try lexer.literal("true")
        case UInt8(ascii: "f"): try lexer.literal("false")
        case UInt8(ascii: "n"): try lexer.literal("null")
        default: throw lexer.fail(.unexpectedByte)
        }
        return 0
    }

    @inline(__always)
    private mutating func container(
        depth: Int, _ content: (inout JSONScan) throws(JSONError) -> Int
    ) throws(JSONError) -> Int {
        guard depth <= Limits.jsonDepthMax else { throw lexer.fail(.tooDeep) }
        let (start, blanks, structure) = (lexer.index, lexer.blanks, weight.structure)
        let place = containers.count
        if notesContainers { containers.append(JSONSource.Container()) }
        lexer.step()
        weight.addContainer()
        let height = try content(&self) + 1
        if notesContainers {
            containers[place] = JSONSource.Container(
                end: lexer.index, after: containers.count, height: height,
                weight: lexer.index - start - (lexer.blanks - blanks) + weight.structure - structure)
        }
        return height
    }

    private mutating func elements(depth: Int) throws(JSONError) -> Int {
        if lexer.skip(UInt8(ascii: "]")) { return 0 }
        var height = 0
        while true {
            weight.addElement()
            try checkWeight()
            height = max(height, try value(depth: depth))
            if lexer.skip(UInt8(ascii: "]")) { return height }
            try lexer.expect(UInt8(ascii: ","))
        }
    }

    private mutating func members(depth: Int) throws(JSONError) -> Int {
        if lexer.skip(UInt8(ascii: "}")) { return 0 }
        var height = 0
        let first = names.count
        var table = JSONNameTable()
        while true {
            lexer.skipBlanks()
            let nameIndex = lexer.index
            guard lexer.next == UInt8(ascii: "\"") else { throw lexer.fail(.unexpectedByte) }
            let (text, hasEscapes) = try lexer.string()
            names.append(
                Name(start: UInt32(text.lowerBound), length: UInt32(text.count), hasEscapes: hasEscapes))
            try lexer.expect(UInt8(ascii: ":"))
            weight.addMember()
            try checkWeight()
            height = max(height, try value(depth: depth))
            guard lastIsNew(since: first, &table) else {
                throw JSONError(offset: nameIndex, reason: .duplicateName)
            }
            if lexer.skip(UInt8(ascii: "}")) { break }
            try lexer.expect(UInt8(ascii: ","))
        }
        names.removeLast(names.count - first)
        return height
    }
}

// MARK: Names

extension JSONScan {
    /// Whether the last name differs from all earlier names of its object, whose first name is at `first`. A few short
    /// names are compared one by one; `table` takes over from there.
    private func lastIsNew(since first: Int, _ table: inout JSONNameTable) -> Bool {
        let last = names.count - 1
        if table.isEmpty {
            if last - first < Self.comparedMax, names[last].length <= UInt32(JSONObject.unindexedNameBytesMax) {
                return !names[first..<last].contains { isSame($0, names[last]) }
            }
            table = JSONNameTable(for: 2 * Self.comparedMax)
            for place in first..<last { table.insert(hash: hash(names[place]), place: place) }
        }
        let hash = hash(names[last])
        guard table.find(hash: hash, { isSame(names[$0], names[last]) }) == nil else { return false }
        table.insert(hash: hash, place: last)
        return true
    }

    private func isSame(_ left: Name, _ right: Name) -> Bool {
        if !left.hasEscapes, !right.hasEscapes {
            return left.length == right.length
                && lexer.areEqual(Int(left.start), Int(right.start), count: Int(left.length))
        }
        return string(left) == string(right)
    }

    private func hash(_ name: Name) -> UInt32 {
        name.hasEscapes
            ? JSONNameTable.hash(string(name).content) : lexer.hash(Int(name.start), count: Int(name.length))
    }

    private func string(_ name: Name) -> JSONString {
        let start = Int(name.start)
        return JSONString(JSONText(source, start..<(start + Int(name.length))), hasEscapes: name.hasEscapes)
    }
}
