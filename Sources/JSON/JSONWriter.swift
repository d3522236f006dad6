extension JSONValue {
    /// The value as text, without white space; numbers and strings as they were read.
    public func encoded() -> [UInt8] {
        var output: [UInt8] = []
        write(into: &output)
        return output
    }

    /// Appends the text of ``encoded()``.
    public func write(into output: inout [UInt8]) {
        var writer = JSONWriter(output: output, bytesMax: .max)
        output = []
        _ = writer.write(self)
        output = writer.output
    }

    /// The text and its ``JSONWeight``; `nil` where the text would be longer than `bytesMax`. Never makes much more
    /// than that, however often a patch has copied one part of the value into another.
    package func encoded(bytesMax: Int, expecting count: Int) -> (text: [UInt8], weight: Int)? {
        var writer = JSONWriter(output: [], bytesMax: bytesMax)
        writer.output.reserveCapacity(min(count, bytesMax))
        return writer.write(self) ? (writer.output, writer.output.count + writer.structure) : nil
    }
}

/// Writes values one behind the other, up to a bound. Texts that stand side by side in the document that they were read
/// from, as they do wherever nothing was changed, are copied in one piece, with the punctuation between them.
///
/// SAFETY: a piece is a pointer into the storage of a text. The value that is written is borrowed until ``finish()``,
/// nothing of it changes meanwhile, and the bytes of an array stay where they are. Two texts that are a few bytes apart
/// lie in one array, since the storage of two arrays has more than that between them.
private struct JSONWriter {
    var output: [UInt8]
    let bytesMax: Int
    /// What the values weigh beyond their bytes.
    private(set) var structure = 0
    /// What is still to be copied, and the punctuation behind it, the first byte lowest.
    private var piece: UnsafeRawPointer?
    private var pieceCount = 0
    private var gap: UInt64 = 0
    private var gapCount = 0

    init(output: [UInt8], bytesMax: Int) {
        self.output = output
        self.bytesMax = bytesMax
    }

    private var count: Int { output.count + pieceCount + gapCount }

    /// False where the output would grow beyond the bound; it then holds a part of the text.
    mutating func write(_ value: borrowing JSONValue) -> Bool {
        let isWhole = put(value)
        finish()
        return isWhole && output.count <= bytesMax
    }

    private mutating func finish() {
        if let piece { output.append(contentsOf: UnsafeRawBufferPointer(start: piece, count: pieceCount)) }
        piece = nil
        pieceCount = 0
        while gapCount > 0 {
            output.append(UInt8(truncatingIfNeeded: gap))
            gap >>= 8
            gapCount -= 1
        }
    }

    @inline(__always)
    private mutating func put(_ punctuation: UInt8) {
        if gapCount == 8 { finish() }
        gap |= UInt64(punctuation) << UInt64(8 * gapCount)
        gapCount += 1
    }

    @inline(__always)
    private mutating func put(_ text: UnsafeRawBufferPointer) -> Bool {
        guard count + text.count <= bytesMax else { return false }
        guard let start = text.baseAddress else { return true }
        if let piece, piece + (pieceCount + gapCount) == start, stands(behind: piece + pieceCount) {
            pieceCount += gapCount + text.count
            gap = 0
            gapCount = 0
        } else {
            finish()
            piece = start
            pieceCount = text.count
        }
        return true
    }

    /// Whether the punctuation that is to be written stands there already.
    private func stands(behind end: UnsafeRawPointer) -> Bool {
        for offset in 0..<gapCount {
            let byte = UInt8(truncatingIfNeeded: gap >> UInt64(8 * offset))
            guard end.load(fromByteOffset: offset, as: UInt8.self) == byte else { return false }
        }
        return true
    }

    private mutating func put(_ literal: StaticString) -> Bool {
        finish()
        literal.withUTF8Buffer { output.append(contentsOf: $0) }
        return output.count <= bytesMax
    }

    private mutating func put(_ value: borrowing JSONValue) -> Bool {
        switch value {
        case .null: return put("null")
        case .bool(true): return put("true")
        case .bool(false): return put("false")
        case .number(let number): return number.withBytes { put($0) }
        case .string(let string): return put(string)
        case .array(let elements): return put(elements)
        case .object(let object): return put(object)
        case .unread(let unread):
            structure += unread.weight - unread.count
            return unread.withBytes { put($0) }
        }
    }

    @inline(__always)
    private mutating func put(_ string: borrowing JSONString) -> Bool {
        put(UInt8(ascii: "\""))
        guard string.withBytes({ put($0) }) else { return false }
        put(UInt8(ascii: "\""))
        return true
    }

    private mutating func put(_ elements: borrowing [JSONValue]) -> Bool {
        structure += JSONWeight.container + elements.count * JSONWeight.element
        put(UInt8(ascii: "["))
        // SAFETY: the pointer is used inside the closure only. Elements are looked at where they lie.
        let isWhole = elements.withUnsafeBufferPointer { elements in
            for place in elements.indices {
                if place > 0 { put(UInt8(ascii: ",")) }
                guard put(elements[place]) else { return false }
            }
            return true
        }
        put(UInt8(ascii: "]"))
        return isWhole
    }

    private mutating func put(_ object: borrowing JSONObject) -> Bool {
        structure += JSONWeight.container + object.count * JSONWeight.member
        put(UInt8(ascii: "{"))
        var isFirst = true
        let isWhole = object.writeMembers { name, value in
            if !isFirst { put(UInt8(ascii: ",")) }
            isFirst = false
            guard put(name) else { return false }
            put(UInt8(ascii: ":"))
            return put(value)
        }
        put(UInt8(ascii: "}"))
        return isWhole
    }
}
