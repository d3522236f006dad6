/// An origin as browsers write it: `SCHEME://HOST`, with `:PORT` where it is not the scheme's own (RFC 6454 §6.2).
public struct WebOrigin: Sendable, Equatable {
    /// In lower case, without the scheme's own port.
    public let text: String

    /// `nil` where `text` is no origin: it has a path, no scheme, or names nothing, as `*` and `null` do.
    public init?(_ text: String) {
        let bytes = Array(text.lowercased().utf8)
        guard let parts = OriginParts(bytes.span, 0..<bytes.count) else { return nil }
        let authority = parts.authority
        let port = authority.portNumber(bytes.span, or: parts.ownPort)
        let isName = bytes[authority.name.range].allSatisfy { Self.isLetterOrDigit($0) || ".-_".utf8.contains($0) }
        guard port > 0 || authority.port == nil, authority.isBracketed ? authority.isAddress(bytes.span) : isName
        else { return nil }
        var origin = String(decoding: bytes[parts.scheme], as: UTF8.self) + "://"
        let name = String(decoding: bytes[authority.name.range], as: UTF8.self)
        origin += authority.isBracketed ? "[\(name)]" : name
        if port != parts.ownPort { origin += ":\(port)" }
        self.text = origin
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        ByteClasses.isDigit(byte) || byte &- UInt8(ascii: "a") < 26
    }
}

/// Where the parts of an origin stand in a text.
struct OriginParts {
    let scheme: Range<Int>
    let authority: Authority
    /// The port that the scheme means where none is said; 0 where this is not known.
    let ownPort: Int

    init?(_ span: Span<UInt8>, _ text: Range<Int>) {
        guard let colon = span.firstIndex(of: UInt8(ascii: ":"), from: text.lowerBound, to: text.upperBound),
            colon > text.lowerBound, colon + 3 < text.upperBound, span.equals(colon..<colon + 3, "://"),
            span.allSatisfy(text.lowerBound..<colon, ByteClasses.isToken),
            let authority = Authority(span, colon + 3..<text.upperBound), !authority.name.isEmpty
        else { return nil }
        scheme = text.lowerBound..<colon
        self.authority = authority
        if span.equalsIgnoringCase(scheme, "http") {
            ownPort = 80
        } else if span.equalsIgnoringCase(scheme, "https") {
            ownPort = 443
        } else {
            ownPort = 0
        }
    }
}
