import Entities
import HTTPFront

/// The query of an admin request. Strict: a name that a route does not know, or that stands twice, is refused, so that
/// a mistyped one is never silently without effect.
struct AdminQuery {
    private let pairs: [(name: String, value: String)]

    init(_ request: AdminRequest) { pairs = request.query }

    /// - Parameter known: the names that may appear.
    func allow(_ known: String...) throws(Problem) {
        for (index, pair) in pairs.enumerated() {
            guard known.contains(pair.name) else {
                let hint = known.isEmpty ? "none is known here" : "known here: \(known.joined(separator: ", "))"
                throw Problem(.badRequest, "unknown query parameter \"\(pair.name.prefix(64))\"; \(hint)")
            }
            guard !pairs[..<index].contains(where: { $0.name == pair.name }) else {
                throw Problem(.badRequest, "query parameter \"\(pair.name)\" must appear once")
            }
        }
    }

    func value(_ name: String) -> String? { pairs.first { $0.name == name }?.value }

    /// False where it is absent.
    func flag(_ name: String) throws(Problem) -> Bool {
        switch value(name) {
        case nil, "false": false
        case "true": true
        default: throw Problem(.badRequest, "\(name) must be true or false")
        }
    }
}

/// Numbers in paths and queries, in the one form that everybody reads alike: digits without sign, prefix or leading
/// zeros.
enum StrictNumber {
    static func whole(_ text: String) -> UInt64? {
        let digits = text.utf8
        guard let first = digits.first, digits.allSatisfy(isDigit), first != UInt8(ascii: "0") || digits.count == 1
        else { return nil }
        return UInt64(text)
    }

    /// A whole number, with decimals behind a point.
    static func decimal(_ text: String) -> Double? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard whole(String(parts[0])) != nil else { return nil }
        if parts.count == 2 {
            guard (1...decimalsMax).contains(parts[1].utf8.count), parts[1].utf8.allSatisfy(isDigit) else { return nil }
        }
        return Double(text)
    }

    /// More say nothing that a `Double` holds.
    private static let decimalsMax = 15

    private static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
}
