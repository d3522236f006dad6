import Entities
import Primitives
import Testing

/// JSON documents as a tree of text that every step copies whole: slow, small, and written from RFC 6902 alone.
private indirect enum Tree: Equatable {
    case leaf(String)
    case array([Tree])
    case object([Pair])

    struct Pair: Equatable {
        var name: String
        var value: Tree
    }

    var text: String {
        switch self {
        case .leaf(let text): text
        case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
        case .object(let pairs): "{" + pairs.map { "\"\($0.name)\":" + $0.value.text }.joined(separator: ",") + "}"
        }
    }

    func get(_ path: ArraySlice<String>) -> Tree? {
        guard let token = path.first else { return self }
        switch self {
        case .leaf: return nil
        case .array(let elements):
            guard let index = (0..<elements.count).first(where: { String($0) == token }) else { return nil }
            return elements[index].get(path.dropFirst())
        case .object(let pairs): return pairs.first { $0.name == token }?.value.get(path.dropFirst())
        }
    }

    /// The tree with its value at `path` changed by `edit`, which is given `nil` where there is none and a parent there
    /// is, and answers `nil` to remove it. `nil` where that cannot be.
    func editing(_ path: ArraySlice<String>, inserting: Bool, _ edit: (Tree?) -> Tree?) -> Tree? {
        guard let token = path.first else { return edit(self) }
        let rest = path.dropFirst()
        switch self {
        case .leaf: return nil
        case .array(var elements):
            let slots = (0...elements.count).map(String.init)
            let place = token == "-" ? elements.count : slots.firstIndex(of: token)
            guard let place else { return nil }
            if rest.isEmpty, inserting {
                guard let value = edit(nil) else { return nil }
                elements.insert(value, at: place)
                return .array(elements)
            }
            guard place < elements.count else { return nil }
            if rest.isEmpty {
                let value = edit(elements[place])
                elements.replaceSubrange(place...place, with: value.map { [$0] } ?? [])
                return .array(elements)
            }
            guard let child = elements[place].editing(rest, inserting: inserting, edit) else { return nil }
            elements[place] = child
            return .array(elements)
        case .object(var pairs):
            let place = pairs.firstIndex { $0.name == token }
            if rest.isEmpty {
                guard inserting || place != nil else { return nil }
                let value = edit(place.map { pairs[$0].value })
                if let place, let value { pairs[place].value = value }
                if let place, value == nil { pairs.remove(at: place) }
                if place == nil, let value { pairs.append(Pair(name: token, value: value)) }
                return .object(pairs)
            }
            guard let place, let child = pairs[place].value.editing(rest, inserting: inserting, edit) else {
                return nil
            }
            pairs[place].value = child
            return .object(pairs)
        }
    }

    static func random(_ random: inout SplitMix64, depth: Int) -> Tree {
        switch random.below(depth > 0 ? 4 : 1) {
        case 0: return .leaf(random.pick(["null", "true", "1.50", "-0", "\"s\"", "12345678901234567890"]))
        case 1: return .array((0..<random.below(4)).map { _ in .random(&random, depth: depth - 1) })
        default:
            let names = random.chance(1, in: 8) ? 20 : random.below(4)
            return .object((0..<names).map { Pair(name: "m\($0)", value: .random(&random, depth: depth - 1)) })
        }
    }

    /// A path that leads to a value more often than not.
    func randomPath(_ random: inout SplitMix64) -> [String] {
        if random.chance(1, in: 4) { return [] }
        switch self {
        case .leaf: return random.chance(1, in: 4) ? ["m0"] : []
        case .array(let elements):
            if elements.isEmpty || random.chance(1, in: 4) {
                return [random.pick(["-", "0", "01", "m0", String(elements.count), String(elements.count + 1)])]
            }
            let index = random.below(elements.count)
            return [String(index)] + elements[index].randomPath(&random)
        case .object(let pairs):
            if pairs.isEmpty || random.chance(1, in: 4) { return [random.pick(["new", "m0", "m19", "0", "-", ""])] }
            let pair = random.pick(pairs)
            return [pair.name] + pair.value.randomPath(&random)
        }
    }
}

@Suite struct JSONPatchModelTests {
    private func pointer(_ path: [String]) -> String { path.map { "/" + $0 }.joined() }

    /// One random operation: its text, and what it makes of the tree.
    private func step(_ tree: Tree, _ random: inout SplitMix64) -> (text: String, result: Tree?) {
        let path = tree.randomPath(&random)
        let from = tree.randomPath(&random)
        let value = Tree.random(&random, depth: 2)
        let head = #""path":"\#(pointer(path))""#
        switch random.below(6) {
        case 0:
            return (
                #"{"op":"add",\#(head),"value":\#(value.text)}"#,
                tree.editing(path[...], inserting: true) { _ in value }
            )
        case 1:
            let result = path.isEmpty ? nil : tree.editing(path[...], inserting: false) { _ in nil }
            return (#"{"op":"remove",\#(head)}"#, tree.get(path[...]) == nil ? nil : result)
        case 2:
            let result = tree.get(path[...]).flatMap { _ in tree.editing(path[...], inserting: false) { _ in value } }
            return (#"{"op":"replace",\#(head),"value":\#(value.text)}"#, result)
        case 3:
            let text = #"{"op":"move",\#(head),"from":"\#(pointer(from))"}"#
            guard let moved = tree.get(from[...]) else { return (text, nil) }
            if from == path { return (text, tree) }
            if path.starts(with: from) { return (text, nil) }
            let without = tree.editing(from[...], inserting: false) { _ in nil }
            return (text, without?.editing(path[...], inserting: true) { _ in moved })
        case 4:
            let text = #"{"op":"copy",\#(head),"from":"\#(pointer(from))"}"#
            guard let copied = tree.get(from[...]) else { return (text, nil) }
            return (text, tree.editing(path[...], inserting: true) { _ in copied })
        default:
            let expected = random.chance(1, in: 2) ? tree.get(path[...]) ?? value : value
            let text = #"{"op":"test",\#(head),"value":\#(expected.text)}"#
            return (text, tree.get(path[...]) == expected ? tree : nil)
        }
    }

    @Test func agreesWithTheModel() {
        var random = SplitMix64(seed: 0x5EED_0080)
        var applied = 0
        for _ in 0..<4_000 {
            let start = Tree.random(&random, depth: 4)
            var tree: Tree? = start
            var operations: [String] = []
            for _ in 0..<(1 + random.below(5)) {
                guard let current = tree else { break }
                let (text, result) = step(current, &random)
                operations.append(text)
                tree = result
            }
            let document = "[" + operations.joined(separator: ",") + "]"
            let expected = tree.map { Patched.state($0.text) } ?? .refused(.patchFailed)
            #expect(patch(.jsonPatch, document, on: start.text) == expected, "\(document) on \(start.text)")
            applied += tree == nil ? 0 : 1
        }
        #expect(applied > 500 && applied < 3_500, "both outcomes are common: \(applied)")
    }
}
