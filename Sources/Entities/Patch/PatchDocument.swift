import Primitives

/// The document of a PATCH, read whole before any of it is applied.
enum PatchDocument {
    case merge(JSONValue)
    case jsonPatch(JSONPatch)
    case update(UpdateDocument)

    /// 400 `bad-request` where the bytes are not what `kind` says.
    init(_ kind: PatchKind, _ bytes: [UInt8]) throws(Problem) {
        let document: JSONValue
        do {
            document = try JSONValue(parsing: bytes)
        } catch {
            throw Problem(.badRequest, "the patch document is not JSON that is accepted: \(error)")
        }
        switch kind {
        case .merge: self = .merge(document)
        case .jsonPatch: self = .jsonPatch(try JSONPatch(document))
        case .update: self = .update(try UpdateDocument(document))
        }
    }

    /// What an absent entity starts from; `nil` where the patch needs one that exists.
    var elseCreate: JSONValue? {
        guard case .update(let update) = self else { return nil }
        return update.elseCreate
    }

    /// - Parameters:
    ///   - byteCount: bytes of the state and of this document.
    ///   - bytesMax: bytes that a state may have; the result may still be longer.
    func apply(to state: consuming JSONValue, byteCount: Int, bytesMax: Int) throws(Problem) -> JSONValue {
        if case .merge(let patch) = self {
            MergePatch.apply(patch, to: &state)
            return state
        }
        var editor = JSONEditor(state, byteCount: byteCount, bytesMax: bytesMax)
        switch self {
        case .merge: break
        case .jsonPatch(let patch): try patch.apply(to: &editor)
        case .update(let update): try update.apply(to: &editor)
        }
        return editor.root
    }
}
