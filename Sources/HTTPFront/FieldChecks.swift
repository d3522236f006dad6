internal import Entities
internal import Primitives

/// The media types of patch documents; parameters and letter case are ignored.
enum PatchMediaTypes {
    /// What a 415 says of what would have been taken (RFC 5789 §3.1, RFC 9110 §15.5.16).
    static let acceptFields: StaticString = """
        Accept-Encoding: identity\r
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
        guard let first = contentType.value else { return [] }
        if contentType.isRepeated { throw Problem(.badRequest, "Content-Type must appear once") }
        let value = array(first)
        try OperationChecks.contentType(value[...])
        return value
    }

    func checkedIdempotencyKey() throws(Problem) -> [UInt8]? {
        guard let first = idempotencyKey.value else { return nil }
        if idempotencyKey.isRepeated { throw Problem(.badRequest, "Idempotency-Key must appear once") }
        let value = array(first)
        try OperationChecks.idempotencyKey(value[...])
        return value
    }

    /// Dates count only where no tag says it better, and where they are dates (RFC 9110 §13.1.3, §13.1.4).
    ///
    /// - Parameter now: seconds since 1970, asked where a date needs it.
    func checkedPreconditions(now: () -> UInt64) throws(Problem) -> Preconditions {
        var conditions = Preconditions.none
        if !ifMatch.isEmpty || !ifNoneMatch.isEmpty {
            conditions = try Preconditions(ifMatch: arrays(ifMatch), ifNoneMatch: arrays(ifNoneMatch))
        }
        if conditions.ifMatch == nil { conditions.ifUnmodifiedSince = date(ifUnmodifiedSince, now) }
        if conditions.ifNoneMatch == nil, method == .get || method == .head {
            conditions.ifModifiedSince = date(ifModifiedSince, now)
        }
        return conditions
    }

    private func date(_ field: SingleField, _ now: () -> UInt64) -> UInt64? {
        guard let value = field.value, !field.isRepeated else { return nil }
        return HTTPDate(array(value), now: now())?.seconds
    }

    /// States and documents are taken as they come: nothing here undoes a coding.
    func checkNotEncoded() throws(Problem) {
        guard isEncoded else { return }
        throw Problem(.unsupportedMediaType, "Content-Encoding must be identity or absent: send the body as it is")
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
