internal import Entities
internal import Primitives

/// `method SP request-target SP HTTP-version` (RFC 9112 §3), with single spaces.
enum RequestLine {
    /// A target at its limit, with room for the longest method that is worth an answer of its own.
    static let bytesMax = Limits.uriBytesMax + 256

    static func read(_ span: Span<UInt8>, _ text: Range<Int>, into head: inout RequestHead) throws(Problem) {
        let space = ByteClasses.space
        guard let methodEnd = span.firstIndex(of: space, from: text.lowerBound, to: text.upperBound),
            let targetEnd = span.firstIndex(of: space, from: methodEnd + 1, to: text.upperBound)
        else { throw Refusals.requestLine }
        let method = text.lowerBound..<methodEnd
        let target = methodEnd + 1..<targetEnd
        guard !method.isEmpty, !target.isEmpty, span.allSatisfy(method, ByteClasses.isToken) else {
            throw Refusals.requestLine
        }
        try readVersion(span, targetEnd + 1..<text.upperBound, into: &head)
        if target.count > Limits.uriBytesMax { throw Refusals.uriTooLong }
        head.method = Self.method(span, method)
        head.methodName = HeadRange(method)
        guard span.allSatisfy(target, ByteClasses.isTarget) else { throw Refusals.target }
        try readTarget(span, target, into: &head)
    }

    private static func method(_ span: Span<UInt8>, _ name: Range<Int>) -> RequestHead.Method {
        switch name.count {
        case 3 where span.equals(name, "GET"): .get
        case 3 where span.equals(name, "PUT"): .put
        case 4 where span.equals(name, "HEAD"): .head
        case 4 where span.equals(name, "POST"): .post
        case 5 where span.equals(name, "PATCH"): .patch
        case 6 where span.equals(name, "DELETE"): .delete
        case 7 where span.equals(name, "OPTIONS"): .options
        case 7 where span.equals(name, "CONNECT"): .connect
        default: .other
        }
    }

    /// `HTTP/` and two digits. Another major version is 505; a higher minor one is handled as 1.1 (RFC 9110 §2.5).
    private static func readVersion(
        _ span: Span<UInt8>, _ version: Range<Int>, into head: inout RequestHead
    ) throws(Problem) {
        let start = version.lowerBound
        guard version.count == 8, span.equals(start..<start + 5, "HTTP/"), span[start + 6] == UInt8(ascii: "."),
            ByteClasses.isDigit(span[start + 5]), ByteClasses.isDigit(span[start + 7])
        else { throw Refusals.requestLine }
        guard span[start + 5] == UInt8(ascii: "1") else { throw Refusals.version }
        head.minorVersion = span[start + 7] == UInt8(ascii: "0") ? 0 : 1
    }

    private static func readTarget(
        _ span: Span<UInt8>, _ target: Range<Int>, into head: inout RequestHead
    ) throws(Problem) {
        if head.method == .connect {
            head.form = .authority
        } else if span[target.lowerBound] == UInt8(ascii: "/") {
            splitQuery(span, target, into: &head)
        } else if span.equals(target, "*") {
            guard head.method == .options else { throw Refusals.target }
            head.form = .asterisk
        } else {
            try readAbsolute(span, target, into: &head)
        }
    }

    /// `http://authority[/path][?query]`
    private static func readAbsolute(
        _ span: Span<UInt8>, _ target: Range<Int>, into head: inout RequestHead
    ) throws(Problem) {
        var start = target.lowerBound
        let end = target.upperBound
        if target.count > 7, span.equalsIgnoringCase(start..<start + 7, "http://") {
            start += 7
        } else if target.count > 8, span.equalsIgnoringCase(start..<start + 8, "https://") {
            start += 8
        } else {
            throw Refusals.target
        }
        var index = start
        while index < end, span[index] != UInt8(ascii: "/"), span[index] != UInt8(ascii: "?") { index += 1 }
        guard let authority = Authority(span, start..<index), !authority.name.isEmpty else { throw Refusals.target }
        head.authority = authority
        splitQuery(span, index..<end, into: &head)
    }

    private static func splitQuery(_ span: Span<UInt8>, _ target: Range<Int>, into head: inout RequestHead) {
        guard let mark = span.firstIndex(of: UInt8(ascii: "?"), from: target.lowerBound, to: target.upperBound) else {
            head.path = HeadRange(target)
            return
        }
        head.path = HeadRange(target.lowerBound..<mark)
        head.query = HeadRange(mark + 1..<target.upperBound)
    }
}
