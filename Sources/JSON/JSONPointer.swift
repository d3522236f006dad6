import Primitives

/// The path to one value of a document (RFC 6901), with its escapes undone.
package struct JSONPointer: Sendable, Equatable {
    /// The last one has what is left of a path that is too long to lead anywhere, see ``tokensMax``.
    package let tokens: [ArraySlice<UInt8>]
    /// As it was written, for messages.
    package let text: ArraySlice<UInt8>

    /// No document has a value this far down, so a path that goes on is not cut any further.
    private static let tokensMax = Limits.jsonDepthMax + 2

    /// The whole document.
    package static let root = JSONPointer(tokens: [], text: [])

    private init(tokens: [ArraySlice<UInt8>], text: ArraySlice<UInt8>) {
        self.tokens = tokens
        self.text = text
    }

    /// `nil` where the text is no pointer: it is neither empty nor begins with `/`, or has a `~` without `0` or `1`
    /// after it.
    package init?(_ text: ArraySlice<UInt8>) {
        self.text = text
        guard let first = text.first else {
            tokens = []
            return
        }
        guard first == UInt8(ascii: "/") else { return nil }
        var tokens: [ArraySlice<UInt8>] = []
        let pieces = text.dropFirst().split(
            separator: UInt8(ascii: "/"), maxSplits: Self.tokensMax - 1, omittingEmptySubsequences: false)
        for piece in pieces {
            guard let token = Self.unescape(piece) else { return nil }
            tokens.append(token)
        }
        self.tokens = tokens
    }

    private static func unescape(_ piece: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard piece.contains(UInt8(ascii: "~")) else { return piece }
        var token: [UInt8] = []
        var rest = piece.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "~") else {
                token.append(byte)
                continue
            }
            switch rest.next() {
            case UInt8(ascii: "0"): token.append(UInt8(ascii: "~"))
            case UInt8(ascii: "1"): token.append(UInt8(ascii: "/"))
            default: return nil
            }
        }
        return token[...]
    }

    /// Whether `other` names a value inside the one that this names.
    package func isProperPrefix(of other: JSONPointer) -> Bool {
        tokens.count < other.tokens.count && other.tokens.starts(with: tokens)
    }

    /// The array index that a token is: digits without leading zeros (RFC 6901 §4).
    package static func arrayIndex(_ token: ArraySlice<UInt8>) -> Int? {
        guard let first = token.first, token.count <= 10, first != UInt8(ascii: "0") || token.count == 1 else {
            return nil
        }
        var index = 0
        for byte in token {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            index = index * 10 + Int(byte - UInt8(ascii: "0"))
        }
        return index
    }
}
