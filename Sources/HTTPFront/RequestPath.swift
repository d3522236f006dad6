/// Where a path leads, told by its bytes. Paths are not decoded before they are told apart: `/v1/%65ntities` leads
/// nowhere.
enum RequestPath {
    /// The rest is `kind/id`, still encoded.
    case entity(ArraySlice<UInt8>)
    /// The rest is a kind.
    case collection(ArraySlice<UInt8>)
    /// The rest is `kind/id`, still encoded.
    case outcome(ArraySlice<UInt8>)
    case batch
    case unknown

    init(_ path: [UInt8]) {
        let span = path.span
        if span.hasPrefix("/v1/entities/") {
            let rest = path[13...]
            self = rest.contains(UInt8(ascii: "/")) ? .entity(rest) : .collection(rest)
        } else if span.hasPrefix("/v1/outcomes/") {
            self = .outcome(path[13...])
        } else if span.equals(0..<span.count, "/v1/batch") {
            self = .batch
        } else {
            self = .unknown
        }
    }
}

extension Span<UInt8> {
    func hasPrefix(_ text: StaticString) -> Bool {
        count >= text.utf8CodeUnitCount && equals(0..<text.utf8CodeUnitCount, text)
    }
}
