/// The members of a JSON object, in order, with names that differ.
///
/// Above a few members an index finds them, so a lookup is O(1) and a patch of many operations on a wide object stays
/// linear. Removed members of an indexed object leave gaps, which are closed once they are half of it.
public struct JSONObject: Sendable {
    private struct Slot: Sendable {
        let name: JSONString
        var value: JSONValue
        var isLive = true
    }

    private var slots: [Slot] = []
    /// Where each live member lies; absent in a small object, which has no gaps either.
    private var index: [NameKey: Int]?
    public private(set) var count = 0

    /// Up to here comparing names one by one is as fast as hashing one.
    private static let unindexedMax = 16
    /// Room made for the first member, so that small objects do not grow one by one.
    private static let slotsReserved = 4

    public init() {}

    public var isEmpty: Bool { count == 0 }

    /// The member of that name, unescaped.
    public subscript(name: ArraySlice<UInt8>) -> JSONValue? { find(name).map { slots[$0].value } }

    /// The member of that name, which is known when the program is written.
    public subscript(name: StaticString) -> JSONValue? {
        name.withUTF8Buffer { name in
            guard index == nil else { return self[Array(name)[...]] }
            return slots.indices.first { slots[$0].name.contentEquals(name) }.map { slots[$0].value }
        }
    }

    /// Calls `body` with the members in order.
    public func forEach<Failure: Error>(
        _ body: (JSONString, JSONValue) throws(Failure) -> Void
    ) throws(Failure) {
        for slot in slots where slot.isLive { try body(slot.name, slot.value) }
    }

    /// Whether every member satisfies `predicate`; looked at in order, up to the first that does not.
    public func allSatisfy(_ predicate: (JSONString, JSONValue) -> Bool) -> Bool {
        slots.allSatisfy { !$0.isLive || predicate($0.name, $0.value) }
    }

    /// Adds a member at the end; false, and nothing happens, where the name is there already.
    public mutating func append(_ name: JSONString, _ value: JSONValue) -> Bool {
        if index == nil, count == Self.unindexedMax { buildIndex() }
        if index == nil {
            guard !slots.indices.contains(where: { slots[$0].name == name }) else { return false }
            if slots.isEmpty { slots.reserveCapacity(Self.slotsReserved) }
        } else if let place = index?.updateValue(slots.count, forKey: NameKey(name.content)) {
            index?[NameKey(name.content)] = place
            return false
        }
        slots.append(Slot(name: name, value: value))
        count += 1
        return true
    }

    /// Replaces the member in its place, or adds it at the end.
    public mutating func set(_ name: JSONString, _ value: JSONValue) {
        guard let slot = find(name.content) else {
            _ = append(name, value)
            return
        }
        slots[slot].value = value
    }

    /// Takes the member out; the others keep their order.
    @discardableResult
    public mutating func remove(_ name: ArraySlice<UInt8>) -> JSONValue? {
        guard let slot = find(name) else { return nil }
        count -= 1
        guard index != nil else { return slots.remove(at: slot).value }
        index?.removeValue(forKey: NameKey(name))
        let value = slots[slot].value
        slots[slot].value = .null
        slots[slot].isLive = false
        if slots.count > 2 * count { closeGaps() }
        return value
    }

    /// Changes the member in place; `nil`, and `body` is not called, where there is none.
    mutating func update<Result, Failure: Error>(
        _ name: ArraySlice<UInt8>, _ body: (inout JSONValue) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        guard let slot = find(name) else { return nil }
        return try body(&slots[slot].value)
    }

    private func find(_ name: ArraySlice<UInt8>) -> Int? {
        if let index { return index[NameKey(name)] }
        return slots.indices.first { slots[$0].name.contentEquals(name) }
    }

    private mutating func closeGaps() {
        slots.removeAll { !$0.isLive }
        index = nil
        if count > Self.unindexedMax { buildIndex() }
    }

    private mutating func buildIndex() {
        var index: [NameKey: Int] = [:]
        index.reserveCapacity(2 * slots.count)
        for (place, slot) in slots.enumerated() { index[NameKey(slot.name.content)] = place }
        self.index = index
    }
}

extension JSONObject: Equatable {
    /// The same names with equal values, in any order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.allSatisfy { name, value in right[name.content] == value }
    }
}

/// A member name as the key of a dictionary. The standard library seeds its hash for each process, so that a document
/// cannot be made whose names collide; nothing depends on the order that gives.
private struct NameKey: Hashable, Sendable {
    private let content: ArraySlice<UInt8>

    init(_ content: ArraySlice<UInt8>) { self.content = content }

    func hash(into hasher: inout Hasher) {
        // SAFETY: the pointer is used inside the closure only. Hashing the bytes in one piece is many times faster than
        // one by one, which is what hashing an array does.
        content.withUnsafeBytes { hasher.combine(bytes: $0) }
    }
}
