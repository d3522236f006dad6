import JSON

/// JSON Merge Patch (RFC 7396): the members of the patch replace those of the target, `null` removes, and anything but
/// an object replaces the whole.
enum MergePatch {
    /// The RFC's `MergePatch(Target, Patch)`. Members keep their place and new ones come last. The result is no deeper
    /// than the deeper of the two. What the patch itself weighs has been charged, and bounds what is opened of it.
    static func apply(
        _ patch: JSONValue, to target: inout JSONValue, _ work: inout PatchWork
    ) throws(PatchFault) {
        var opened = patch
        guard let changes = opened.takeObject() else {
            target = patch
            return
        }
        var object = target.takeObject() ?? JSONObject()
        defer { target = .object(object) }
        try changes.forEach { (name, change) throws(PatchFault) in
            let content = name.content
            try work.spend(2 * PatchCost.member(content, among: object.count))
            if case .null = change {
                // Without an index the members behind it are shifted.
                object.remove(content)
                return
            }
            let isThere: Void? = try object.update(content) { (member) throws(PatchFault) in
                try apply(change, to: &member, &work)
            }
            guard isThere == nil else { return }
            var member = JSONValue.null
            try apply(change, to: &member, &work)
            object.set(name, member)
        }
    }
}
