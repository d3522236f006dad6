/// JSON Merge Patch (RFC 7396): the members of the patch replace those of the target, `null` removes, and anything but
/// an object replaces the whole.
enum MergePatch {
    /// The RFC's `MergePatch(Target, Patch)`. Members keep their place and new ones come last. The result is no deeper
    /// than the deeper of the two.
    static func apply(_ patch: JSONValue, to target: inout JSONValue) {
        guard case .object(let changes) = patch else {
            target = patch
            return
        }
        var object = target.takeObject() ?? JSONObject()
        changes.forEach { name, change in
            if case .null = change {
                object.remove(name.content)
            } else if object.update(name.content, { apply(change, to: &$0) }) == nil {
                var member = JSONValue.null
                apply(change, to: &member)
                object.set(name, member)
            }
        }
        target = .object(object)
    }
}
