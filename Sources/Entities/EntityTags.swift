import Primitives

extension Preconditions {
    /// Reads the values of `If-Match` and `If-None-Match` fields, each possibly repeated (one list, RFC 9110 §5.3).
    /// An empty or malformed list is `bad-request`.
    public init(ifMatch: [ArraySlice<UInt8>], ifNoneMatch: [ArraySlice<UInt8>]) throws(Problem) {
        self.init(
            ifMatch: try EntityTagList(ifMatch, field: "If-Match", weakTagsMatch: false).condition,
            ifNoneMatch: try EntityTagList(ifNoneMatch, field: "If-None-Match", weakTagsMatch: true).condition)
    }
}

/// `"*" / #entity-tag` (RFC 9110 §8.8.3, §5.6.1 and §13.1); empty elements are skipped.
///
/// Our tags are `"V"`, V a version in decimal without leading zeros. Any other well-formed tag never matches.
private struct EntityTagList {
    private let field: StaticString
    private let weakTagsMatch: Bool
    private var versions: [UInt64] = []
    private var tagCount = 0
    private var anyCount = 0
    private var isPresent = false

    init(_ values: [ArraySlice<UInt8>], field: StaticString, weakTagsMatch: Bool) throws(Problem) {
        self.field = field
        self.weakTagsMatch = weakTagsMatch
        for value in values { try read(value) }
        guard !values.isEmpty else { return }
        isPresent = true
        guard tagCount + anyCount > 0 else { throw malformed("is empty") }
        guard anyCount == 0 || tagCount + anyCount == 1 else { throw malformed("has * beside something else") }
    }

    /// `nil` where the field did not come.
    var condition: Preconditions.Condition? {
        guard isPresent else { return nil }
        return anyCount > 0 ? .any : .versions(versions)
    }

    private func malformed(_ what: String) -> Problem {
        Problem(.badRequest, "\(field) \(what); it is * or a list of tags, each in double quotes, as ETag shows them")
    }

    private mutating func read(_ value: ArraySlice<UInt8>) throws(Problem) {
        var rest = value
        while true {
            rest = rest.drop { $0 == UInt8(ascii: ",") || isWhiteSpace($0) }
            guard let first = rest.first else { return }
            if first == UInt8(ascii: "*") {
                anyCount += 1
                rest = rest.dropFirst()
            } else {
                try readTag(&rest)
            }
            rest = rest.drop(while: isWhiteSpace)
            guard rest.isEmpty || rest.first == UInt8(ascii: ",") else { throw malformed("has a malformed tag") }
        }
    }

    private mutating func readTag(_ rest: inout ArraySlice<UInt8>) throws(Problem) {
        let isWeak = rest.starts(with: [UInt8(ascii: "W"), UInt8(ascii: "/")])
        if isWeak { rest = rest.dropFirst(2) }
        guard rest.first == UInt8(ascii: "\"") else { throw malformed("has a malformed tag") }
        let opaque = rest.dropFirst().prefix { isTagCharacter($0) }
        guard opaque.endIndex < rest.endIndex, rest[opaque.endIndex] == UInt8(ascii: "\"") else {
            throw malformed("has a malformed tag")
        }
        rest = rest[(opaque.endIndex + 1)...]
        tagCount += 1
        guard let version = version(of: opaque), !isWeak || weakTagsMatch else { return }
        guard versions.count < Limits.preconditionVersionsMax else { throw OperationChecks.tooManyVersions }
        versions.append(version)
    }

    private func version(of opaque: ArraySlice<UInt8>) -> UInt64? {
        guard let first = opaque.first, first != UInt8(ascii: "0") || opaque.count == 1 else { return nil }
        var version: UInt64 = 0
        for byte in opaque {
            guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
            let (tens, overflow) = version.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(byte - UInt8(ascii: "0")))
            guard !overflow, !carry else { return nil }
            version = sum
        }
        return version
    }

    private func isWhiteSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private func isTagCharacter(_ byte: UInt8) -> Bool {
        byte == 0x21 || (byte >= 0x23 && byte != 0x7F)
    }
}
