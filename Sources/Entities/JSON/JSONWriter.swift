extension JSONValue {
    /// The value as text, without white space; numbers and strings as they were read.
    public func encoded() -> [UInt8] {
        var output: [UInt8] = []
        write(into: &output)
        return output
    }

    /// Appends the text of ``encoded()``.
    public func write(into output: inout [UInt8]) { _ = write(into: &output, bytesMax: .max) }

    /// `nil` where the text would be longer than `bytesMax`. Never makes much more than that, however often a patch has
    /// copied one part of the value into another.
    func encoded(bytesMax: Int, expecting count: Int) -> [UInt8]? {
        var output: [UInt8] = []
        output.reserveCapacity(min(count, bytesMax))
        return write(into: &output, bytesMax: bytesMax) ? output : nil
    }

    /// False where `output` would grow beyond `bytesMax`; it then holds a part of the text.
    private func write(into output: inout [UInt8], bytesMax: Int) -> Bool {
        switch self {
        case .null: output.append(contentsOf: "null".utf8)
        case .bool(let value): output.append(contentsOf: value ? "true".utf8 : "false".utf8)
        case .number(let number):
            guard output.count + number.text.count <= bytesMax else { return false }
            output.append(contentsOf: number.text)
        case .string(let string):
            guard output.count + string.encodedCount <= bytesMax else { return false }
            string.write(into: &output)
        case .array(let elements):
            output.append(UInt8(ascii: "["))
            for (place, element) in elements.enumerated() {
                if place > 0 { output.append(UInt8(ascii: ",")) }
                guard element.write(into: &output, bytesMax: bytesMax) else { return false }
            }
            output.append(UInt8(ascii: "]"))
        case .object(let object):
            guard Self.write(object, into: &output, bytesMax: bytesMax) else { return false }
        }
        return output.count <= bytesMax
    }

    private static func write(_ object: JSONObject, into output: inout [UInt8], bytesMax: Int) -> Bool {
        output.append(UInt8(ascii: "{"))
        var isFirst = true
        let isWhole = object.allSatisfy { name, value in
            if !isFirst { output.append(UInt8(ascii: ",")) }
            isFirst = false
            guard output.count + name.encodedCount <= bytesMax else { return false }
            name.write(into: &output)
            output.append(UInt8(ascii: ":"))
            return value.write(into: &output, bytesMax: bytesMax)
        }
        output.append(UInt8(ascii: "}"))
        return isWhole
    }
}
