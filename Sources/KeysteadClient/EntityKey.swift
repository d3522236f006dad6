/// The name of one entity, `kind/id`.
///
/// `kind` is `[a-z0-9][a-z0-9._-]{0,63}`; `id` is 1 to 512 bytes of UTF-8 without control characters and may hold `/`.
/// Both are plain text here: the client percent-encodes what goes into a URL. The server judges whether a key is sound
/// (`bad-key`); this type only keeps its two halves apart.
public struct EntityKey: Hashable, Sendable, CustomStringConvertible {
    public let kind: String
    public let id: String

    public init(kind: String, id: String) {
        self.kind = kind
        self.id = id
    }

    /// Reads `kind/id`: the kind ends at the first `/`. `nil` where there is none.
    public init?(_ text: String) {
        guard let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")) else { return nil }
        self.kind = String(text[..<slash])
        self.id = String(text[text.utf8.index(after: slash)...])
    }

    /// `kind/id`, as batch lines and lists write it.
    public var description: String { "\(kind)/\(id)" }

    /// The key as the end of a path. A `/` inside the id goes as `%2F`, which names the same entity, so that no proxy
    /// or URL library on the way can fold `a//b` or resolve a segment.
    var path: String { "\(percentEncoded(kind))/\(percentEncoded(id))" }
}

/// RFC 3986 §2.3: everything but unreserved characters as `%XX`.
func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var encoded: [UInt8] = []
    encoded.reserveCapacity(text.utf8.count)
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            encoded.append(byte)
        default:
            encoded.append(UInt8(ascii: "%"))
            encoded.append(digits[Int(byte >> 4)])
            encoded.append(digits[Int(byte & 15)])
        }
    }
    return String(decoding: encoded, as: UTF8.self)
}
