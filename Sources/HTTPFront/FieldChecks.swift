internal import Entities
internal import Primitives

/// The media types of patch documents; parameters and letter case are ignored.
enum PatchMediaTypes {
    /// RFC 5789 §3.1.
    static let acceptField: StaticString = """
        Accept-Patch: application/merge-patch+json, application/json-patch+json, \
        application/vnd.keystead.update+json\r\n
        """

    static func kind(_ contentType: [UInt8]) -> PatchKind? {
        let span = contentType.span
        let end = span.firstIndex(of: UInt8(ascii: ";"), from: 0, to: span.count) ?? span.count
        let type = span.trimmingBlanks(0..<end)
        if span.equalsIgnoringCase(type, "application/merge-patch+json") { return .merge }
        if span.equalsIgnoringCase(type, "application/json-patch+json") { return .jsonPatch }
        if span.equalsIgnoringCase(type, "application/vnd.keystead.update+json") { return .update }
        return nil
    }
}

/// The checks of ``Entities/OperationChecks`` on a request head.
extension RequestHead {
    /// Empty where the field is absent.
    func checkedContentType() throws(Problem) -> [UInt8] {
        guard let first = contentType.first else { return [] }
        if contentType.isRepeated { throw Problem(.badRequest, "Content-Type must appear once") }
        let value = array(first)
        try OperationChecks.contentType(value[...])
        return value
    }

    func checkedIdempotencyKey() throws(Problem) -> [UInt8]? {
        guard let first = idempotencyKey.first else { return nil }
        if idempotencyKey.isRepeated { throw Problem(.badRequest, "Idempotency-Key must appear once") }
        let value = array(first)
        try OperationChecks.idempotencyKey(value[...])
        return value
    }

    func checkedPreconditions() throws(Problem) -> Preconditions {
        if ifMatch.isEmpty, ifNoneMatch.isEmpty { return .none }
        return try Preconditions(ifMatch: arrays(ifMatch), ifNoneMatch: arrays(ifNoneMatch))
    }

    func checkedPatchKind() throws(Problem) -> PatchKind {
        let contentType = try checkedContentType()
        guard let kind = PatchMediaTypes.kind(contentType) else {
            throw Problem(.unsupportedMediaType, "the Content-Type of a PATCH must be one of those in Accept-Patch")
        }
        return kind
    }

    /// `Prefer: return=representation` (RFC 7240 §4.2). Preferences that are not understood are ignored.
    var prefersRepresentation: Bool {
        for value in arrays(prefer) {
            for preference in value.split(separator: UInt8(ascii: ",")) {
                let name = Array(preference.prefix { $0 != UInt8(ascii: ";") })
                let span = name.span
                let text = span.trimmingBlanks(0..<span.count)
                if span.equalsIgnoringCase(text, "return=representation") { return true }
            }
        }
        return false
    }
}
