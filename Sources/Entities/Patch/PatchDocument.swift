import JSON
import Primitives

/// The document of a PATCH, read whole before any of it is applied.
struct PatchDocument {
    private let content: Content
    /// The document's ``JSONWeight``.
    let weight: Int

    private enum Content {
        case merge(JSONValue)
        case jsonPatch(JSONPatch)
        case update(UpdateDocument)
    }

    /// 400 `bad-request` where the bytes are not what `kind` says, 422 `patch-failed` where reading them alone is too
    /// much work.
    ///
    /// - Parameter work: charged with ``weight``.
    init(_ kind: PatchKind, _ bytes: [UInt8], _ work: inout PatchWork) throws(Problem) {
        let document: JSONDocument
        do {
            document = try JSONDocument.read(bytes, weightMax: work.left)
        } catch {
            if error.reason == .tooHeavy { throw work.exhausted() }
            throw Problem(.badRequest, "the patch document is not JSON that is accepted: \(error)")
        }
        weight = document.weight
        try work.charge(weight)
        switch kind {
        case .merge: content = .merge(document.value)
        case .jsonPatch: content = .jsonPatch(try JSONPatch(document.value))
        case .update: content = .update(try UpdateDocument(document.value))
        }
    }

    /// What an absent entity starts from; `nil` where the patch needs one that exists.
    var elseCreate: JSONValue? {
        guard case .update(let update) = content else { return nil }
        return update.elseCreate
    }

    /// Changes the document that `editor` holds. After a problem it may be half changed.
    func apply(to editor: inout JSONEditor) throws(Problem) {
        switch content {
        case .merge(let patch):
            do {
                try editor.change(at: .root) { (root, work) throws(PatchFault) in
                    try MergePatch.apply(patch, to: &root, &work)
                }
            } catch {
                throw Problem(.patchFailed, "the merge patch: \(error.detail)")
            }
        case .jsonPatch(let patch): try patch.apply(to: &editor)
        case .update(let update): try update.apply(to: &editor)
        }
    }
}
