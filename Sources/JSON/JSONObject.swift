/// The members of a JSON object, in order, with names that differ.
///
/// Above a few members, and where a name is long, an index finds them: a lookup is O(1) then, and a patch of many
/// operations on a wide object stays linear. Removed members of an indexed object leave gaps, which are closed once
/// they are half of it.
public struct JSONObject: Sendable {
    @usableFromInline struct Slot: Sendable {
        /// ``JSONString/gone`` in a gap.
        @usableFromInline var name: JSONString
        @usableFromInline var value: JSONValue
    }

    @usableFromInline var slots: [Slot] = []
    /// Where each live member lies; empty in a small object, which has no gaps either.
    private var index = JSONNameTable()

    /// Up to here comparing names one by one is as fast as hashing one.
    package static let unindexedMax = 16
    /// Names that are longer are not compared one by one.
    package static let unindexedNameBytesMax = 64
    /// Room made for the first member, so that small objects do not grow one by one.
    private static let slotsReserved = 4

    public init() {}

    public var count: Int { slots.count - index.gaps }

    public var isEmpty: Bool { count == 0 }

    /// The member of that name, unescaped.
    public subscript(name: ArraySlice<UInt8>) -> JSONValue? { find(name).map { slots[$0].value } }

    /// The member of that name, which is known when the program is written.
    public subscript(name: StaticString) -> JSONValue? {
        name.withUTF8Buffer { name in
            guard index.isEmpty else { return self[Array(name)[...]] }
            return slots.indices.first { slots[$0].name.contentEquals(name) }.map { slots[$0].value }
        }
    }

    /// Calls `body` with the members in order.
    @inlinable
    public func forEach<Failure: Error>(
        _ body: (JSONString, JSONValue) throws(Failure) -> Void
    ) throws(Failure) {
        for slot in slots where !slot.name.isGone { try body(slot.name, slot.value) }
    }

    /// Whether every member satisfies `predicate`; looked at in order, up to the first that does not.
    public func allSatisfy(_ predicate: (JSONString, JSONValue) -> Bool) -> Bool {
        slots.allSatisfy { $0.name.isGone || predicate($0.name, $0.value) }
    }

    /// Calls `write` with the members in order, up to the first for which it answers false. The members are looked at
    /// where they lie: there may be very many.
    @inline(__always)
    func writeMembers(_ write: (borrowing JSONString, borrowing JSONValue) -> Bool) -> Bool {
        // SAFETY: the pointer is used inside the closure only.
        slots.withUnsafeBufferPointer { slots in
            for place in slots.indices where !slots[place].name.isGone {
                guard write(slots[place].name, slots[place].value) else { return false }
            }
            return true
        }
    }

    /// Calls `body` with the members in order, up to the first for which it answers false. Values may change.
    @inlinable
    package mutating func whileTrue<Failure: Error>(
        _ body: (JSONString, inout JSONValue) throws(Failure) -> Bool
    ) throws(Failure) -> Bool {
        for place in slots.indices where !slots[place].name.isGone {
            guard try body(slots[place].name, &slots[place].value) else { return false }
        }
        return true
    }

    /// Adds a member at the end; false, and nothing happens, where the name is there already.
    public mutating func append(_ name: JSONString, _ value: JSONValue) -> Bool {
        if index.isEmpty {
            guard !slots.contains(where: { $0.name == name }) else { return false }
            if slots.count >= Self.unindexedMax || name.textCount > Self.unindexedNameBytesMax { buildIndex() }
        }
        if !index.isEmpty {
            let hash = name.hash
            guard index.find(hash: hash, { slots[$0].name == name }) == nil else { return false }
            index.insert(hash: hash, place: slots.count)
        }
        add(name, value)
        return true
    }

    /// Adds a member of an object whose names are known to differ. Such an object gets its index when a member is
    /// changed or looked for in place, or by ``indexIfNeeded()``.
    mutating func appendChecked(_ name: JSONString, _ value: JSONValue) { add(name, value) }

    @usableFromInline
    mutating func indexIfNeeded() {
        guard index.isEmpty else { return }
        let isWide = slots.count > Self.unindexedMax
        if isWide || slots.contains(where: { $0.name.textCount > Self.unindexedNameBytesMax }) { buildIndex() }
    }

    private mutating func add(_ name: JSONString, _ value: JSONValue) {
        if slots.isEmpty { slots.reserveCapacity(Self.slotsReserved) }
        slots.append(Slot(name: name, value: value))
    }

    /// Replaces the member in its place, or adds it at the end.
    public mutating func set(_ name: JSONString, _ value: JSONValue) {
        indexIfNeeded()
        guard let slot = find(name.content) else {
            _ = append(name, value)
            return
        }
        slots[slot].value = value
    }

    /// Takes the member out; the others keep their order.
    @discardableResult
    public mutating func remove(_ name: ArraySlice<UInt8>) -> JSONValue? {
        indexIfNeeded()
        guard let slot = find(name) else { return nil }
        guard !index.isEmpty else { return slots.remove(at: slot).value }
        let value = slots[slot].value
        slots[slot] = Slot(name: .gone, value: .null)
        index.gaps += 1
        if slots.count > 2 * count { closeGaps() }
        return value
    }

    /// Changes the member in place; `nil`, and `body` is not called, where there is none.
    @inlinable
    package mutating func update<Result, Failure: Error>(
        _ name: ArraySlice<UInt8>, _ body: (inout JSONValue) throws(Failure) -> Result
    ) throws(Failure) -> Result? {
        indexIfNeeded()
        guard let slot = find(name) else { return nil }
        return try body(&slots[slot].value)
    }

    @usableFromInline
    func find(_ name: ArraySlice<UInt8>) -> Int? {
        guard !index.isEmpty else { return slots.indices.first { slots[$0].name.contentEquals(name) } }
        return index.find(hash: JSONNameTable.hash(name)) { slots[$0].name.contentEquals(name) }
    }

    private mutating func closeGaps() {
        slots.removeAll(where: \.name.isGone)
        index = JSONNameTable()
        indexIfNeeded()
    }

    private mutating func buildIndex() {
        index = JSONNameTable(for: slots.count + 1)
        // SAFETY: the pointer is used inside the closure only. Slots are looked at where they lie.
        slots.withUnsafeBufferPointer { slots in
            for place in slots.indices { index.insert(hash: slots[place].name.hash, place: place) }
        }
    }
}

extension JSONObject: Equatable {
    /// The same names with equal values, in any order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.allSatisfy { name, value in right[name.content] == value }
    }
}
