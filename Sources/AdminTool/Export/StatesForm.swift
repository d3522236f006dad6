import KeysteadClient

/// Whether states alone carry a kind, so that an import of them makes the same entities again. Pure.
///
/// It is so where every state is a JSON object on one line that holds its id, under one name in all of them, and is
/// stored as `application/json` without an expiry.
struct StatesForm {
    /// Names of members that have held the id in every state so far; `nil` before the first.
    private var names: Set<String>?

    /// The name to give to `--id-field`; `nil` where nothing was taken.
    var idField: String? {
        guard let names else { return nil }
        return names.contains("id") ? "id" : names.min()
    }

    /// Takes another entity; says why it cannot stand as its state alone.
    mutating func objection(to entity: FullLine) -> String? {
        if let objection = Self.objection(to: entity.state) { return objection }
        if entity.ttlSeconds != nil { return "it has an expiry" }
        guard entity.contentType == "application/json" else { return "its content type is \(entity.contentType)" }
        // An import would take it for the entity that it describes.
        if FullLine.isOne(entity.state[...]) { return "its state looks like a line of a full export" }
        let holding = Self.names(in: entity.state, of: entity.key.id)
        guard !holding.isEmpty else { return "its state does not hold its id" }
        let common = names?.intersection(holding) ?? holding
        guard !common.isEmpty else { return "its state holds its id under another name" }
        names = common
        return nil
    }

    /// Why a state cannot stand on a line by itself; `nil` where it can.
    static func objection(to state: [UInt8]) -> String? {
        guard let text = JSONText(state) else { return "its state is not JSON" }
        guard text.kind == .object else { return "its state is JSON, but no object" }
        guard !state.contains(0x0A) else { return "its state is JSON of several lines" }
        return state.last == 0x0D ? "its state ends with a carriage return" : nil
    }

    private static func names(in state: [UInt8], of id: String) -> Set<String> {
        var counts: [String: Int] = [:]
        var found: Set<String> = []
        for (member, value) in JSONText(state)?.members ?? [] {
            guard let name = member.string else { continue }
            counts[name, default: 0] += 1
            if value.string ?? value.numberText == id { found.insert(name) }
        }
        return found.filter { counts[$0] == 1 }
    }
}
