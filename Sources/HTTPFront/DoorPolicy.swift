internal import Entities
internal import NIOCore

/// Whom a listener serves, by what browsers say of where a request comes from (Contract §8.2). A web page can make
/// its visitor's browser send requests to any address that the browser reaches; two things tell them apart:
///
/// - the name in `Host`: a page whose own name leads to this node's address (DNS rebinding) has its own name there;
/// - `Origin`, or `Sec-Fetch-Site` where there is none: the page that made the request.
///
/// Neither is a defence against anything but browsers. Decided from the head alone. Any thread.
public final class DoorPolicy: Sendable {
    /// Which names the listener goes by.
    public enum Hosts: Sendable, Equatable {
        /// Every name: who may call is decided otherwise.
        case any
        /// These, and `localhost`. Addresses need no name.
        case names([String])
    }

    /// How many origins may be allowed.
    public static let allowedOriginsMax = FrontLimits.allowedOriginsMax

    /// In lower case, without the dot of the root; `nil` is every name.
    private let names: [[UInt8]]?
    private let origins: [AllowedOrigin]

    private struct AllowedOrigin {
        let text: [UInt8]
        /// What stands on every answer to it.
        let fields: [UInt8]
    }

    /// - Parameters:
    ///   - hosts: names without ports; letter case and the root's dot do not count.
    ///   - allowedOrigins: whose pages may do what the listener's own may; at most ``allowedOriginsMax``.
    public init(hosts: Hosts = .names([]), allowedOrigins: [WebOrigin] = []) {
        precondition(allowedOrigins.count <= Self.allowedOriginsMax, "the number of allowed origins is bounded")
        switch hosts {
        case .any: names = nil
        case .names(let given): names = (["localhost"] + given).map { Self.plain(Array($0.lowercased().utf8)) }
        }
        origins = allowedOrigins.map { origin in
            AllowedOrigin(
                text: Array(origin.text.utf8),
                fields: Array("Access-Control-Allow-Origin: \(origin.text)\r\n\(Self.fieldsToAll)".utf8))
        }
    }

    /// What a script of another origin may see of an answer beyond its body (Fetch §3.2.3).
    private static let fieldsToAll = """
        Access-Control-Expose-Headers: ETag, Keystead-Position, Idempotency-Replayed, Retry-After\r
        Vary: Origin\r\n
        """

    private static func plain(_ name: [UInt8]) -> [UInt8] {
        name.last == UInt8(ascii: ".") ? Array(name.dropLast()) : name
    }

    enum Verdict {
        /// Served; `origin` is the allowed one that it comes from, if it comes from one.
        case passes(origin: OriginMark?)
        /// A browser asks whether a page of the allowed origin may send what it wants to send (Fetch §4.8).
        case preflight(OriginMark)
        case refused(Problem)
    }

    /// An allowed origin, by its place.
    struct OriginMark {
        let index: UInt8
    }

    func judge(_ head: RequestHead) -> Verdict {
        let span = head.bytes.readableBytesUInt8Span
        if let host = head.authority, !knows(host, span), !head.isProbe(span) {
            return .refused(Self.misdirected(head.text(host.name)))
        }
        guard let origin = head.origin.value else {
            return head.isFromOtherSite && !head.mayComeFromAnywhere(span)
                ? .refused(Self.crossSite) : .passes(origin: nil)
        }
        guard !head.origin.isRepeated else { return judgeForeign(head, span) }
        if let mark = mark(of: origin.range, span) {
            return head.method == .options && head.asksForMethod ? .preflight(mark) : .passes(origin: mark)
        }
        return Self.isOwn(origin.range, head, span) ? .passes(origin: nil) : judgeForeign(head, span)
    }

    private func judgeForeign(_ head: RequestHead, _ span: Span<UInt8>) -> Verdict {
        head.mayComeFromAnywhere(span) ? .passes(origin: nil) : .refused(Self.crossSite)
    }

    // MARK: Host

    /// An empty name is none: no resolver has led here by it.
    private func knows(_ host: Authority, _ span: Span<UInt8>) -> Bool {
        guard let names else { return true }
        var name = host.name.range
        if name.isEmpty || host.isAddress(span) { return true }
        if span[name.upperBound - 1] == UInt8(ascii: ".") { name = name.lowerBound..<name.upperBound - 1 }
        guard !host.isBracketed else { return false }
        return names.contains { span.equalsIgnoringCase(name, 0..<$0.count, of: $0.span) }
    }

    private static func misdirected(_ name: String) -> Problem {
        Problem(
            .misdirected,
            "this node does not go by the name \(name.prefix(FrontLimits.shownNameCharactersMax)): use its address, or "
                + "start it with --hosts and that name")
    }

    // MARK: Origin

    private static let crossSite = Problem(
        .crossSite,
        "a web page of another origin sent this: name that origin in --allowed-origins if its pages may use this node")

    /// The port counts, the scheme does not: what ends TLS before this listener changes it.
    private static func isOwn(_ origin: Range<Int>, _ head: RequestHead, _ span: Span<UInt8>) -> Bool {
        guard let host = head.authority, let parts = OriginParts(span, origin), parts.ownPort > 0 else {
            return false
        }
        let authority = parts.authority
        let port = authority.portNumber(span, or: parts.ownPort)
        return port >= 0 && port == host.portNumber(span, or: parts.ownPort)
            && authority.isBracketed == host.isBracketed
            && span.equalsIgnoringCase(authority.name.range, host.name.range, of: span)
    }

    private func mark(of origin: Range<Int>, _ span: Span<UInt8>) -> OriginMark? {
        let index = origins.firstIndex { span.equalsIgnoringCase(origin, 0..<$0.text.count, of: $0.text.span) }
        return index.map { OriginMark(index: UInt8($0)) }
    }

    // MARK: Answers

    /// What every answer carries where origins are allowed: caches must keep the answers to each apart.
    func writeFields(_ origin: OriginMark?, to output: inout ByteBuffer) {
        guard !origins.isEmpty else { return }
        if let origin {
            output.writeBytes(origins[Int(origin.index)].fields)
        } else {
            output.writeStaticString("Vary: Origin\r\n")
        }
    }

    /// What a page of an allowed origin may send; browsers ask again after ten minutes.
    static let preflightFields: StaticString = """
        Access-Control-Allow-Methods: GET, HEAD, PUT, PATCH, DELETE, POST\r
        Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, If-Match, If-Modified-Since, \
        If-None-Match, If-Unmodified-Since, Keystead-Send, Prefer\r
        Access-Control-Max-Age: 600\r\n
        """
}

extension RequestHead {
    /// GET or HEAD of what tells whether the node lives: whoever watches it may call it what he likes.
    fileprivate func isProbe(_ span: Span<UInt8>) -> Bool {
        guard form == .path, method == .get || method == .head else { return false }
        return span.equals(path.range, "/livez") || span.equals(path.range, "/readyz")
    }

    /// A probe, or a link to the page that the node serves for people.
    fileprivate func mayComeFromAnywhere(_ span: Span<UInt8>) -> Bool {
        if isProbe(span) { return true }
        let page: StaticString = "/ui/"
        let start = path.range.lowerBound
        return form == .path && method == .get && isNavigation && path.range.count >= page.utf8CodeUnitCount
            && span.equals(start..<start + page.utf8CodeUnitCount, page)
    }

    fileprivate func text(_ piece: HeadRange) -> String { String(decoding: array(piece), as: UTF8.self) }
}
