/// Rows in key order; a `nil` value is a removal that hides what lies below.
struct SortedRows {
    private var rows: [(key: [UInt8], value: [UInt8]?)] = []

    var count: Int { rows.count }

    /// The value; `nil` where the row is removed or not here.
    subscript(_ key: [UInt8]) -> [UInt8]? { value(key) ?? nil }

    /// Outer `nil`: not here; inner: removed.
    func value(_ key: [UInt8]) -> [UInt8]?? {
        let place = place(of: key)
        guard place < rows.count, rows[place].key == key else { return nil }
        return .some(rows[place].value)
    }

    mutating func set(_ key: [UInt8], _ value: [UInt8]?) {
        let place = place(of: key)
        if place < rows.count, rows[place].key == key {
            rows[place].value = value
        } else {
            rows.insert((key, value), at: place)
        }
    }

    mutating func merge(_ newer: SortedRows) {
        for row in newer.rows { set(row.key, row.value) }
    }

    /// Takes out rows that have a value of which `isGone` is true; how many.
    mutating func remove(where isGone: (_ key: [UInt8], _ value: [UInt8]) -> Bool) -> Int {
        let before = rows.count
        rows.removeAll { row in row.value.map { isGone(row.key, $0) } ?? false }
        return before - rows.count
    }

    func scan(prefix: [UInt8], after: [UInt8], limit: Int) -> [(key: [UInt8], value: [UInt8])] {
        var found: [(key: [UInt8], value: [UInt8])] = []
        var place = place(of: after)
        while place < rows.count, found.count < limit {
            let row = rows[place]
            place += 1
            guard row.key.starts(with: prefix) else { continue }
            if let value = row.value, row.key != after { found.append((row.key, value)) }
        }
        return found
    }

    /// The index of the first row that is not before `key`.
    private func place(of key: [UInt8]) -> Int {
        var low = 0
        var high = rows.count
        while low < high {
            let middle = (low + high) / 2
            if rows[middle].key.precedes(key) { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension [UInt8] {
    func precedes(_ other: [UInt8]) -> Bool {
        withUnsafeBufferPointer { left in
            other.withUnsafeBufferPointer { right in left.lexicographicallyPrecedes(right) }
        }
    }
}
