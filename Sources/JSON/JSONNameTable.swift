/// Finds a name among many by its hash: open addressing over one array, so that an object pays for it with one word
/// where it has none.
///
/// The standard library seeds its hash for each process, so that a document cannot be made whose names collide; nothing
/// depends on the order that gives.
struct JSONNameTable: Sendable {
    /// The first word counts the entries and, in its upper half, the gaps of the object that the table belongs to. Each
    /// other is free (0), or has half of a hash above a place + 1. Empty: there is no table.
    private var words: [UInt64] = []

    private static let wordsMin = 32

    init() {}

    /// Room for so many names before it grows.
    init(for count: Int) {
        var room = Self.wordsMin
        while room < 2 * count { room *= 2 }
        words = Array(repeating: 0, count: room + 1)
    }

    var isEmpty: Bool { words.isEmpty }

    private var used: Int { Int(truncatingIfNeeded: words[0] & 0xFFFF_FFFF) }

    /// Members that the object has taken out and whose slots it keeps.
    var gaps: Int {
        get { words.isEmpty ? 0 : Int(truncatingIfNeeded: words[0] >> 32) }
        set { words[0] = words[0] & 0xFFFF_FFFF | UInt64(newValue) << 32 }
    }

    /// The place of the name with this hash for which `isSame` is true; `nil` if the table lacks it.
    func find(hash: UInt32, _ isSame: (Int) -> Bool) -> Int? {
        let mask = words.count - 2
        var slot = Int(hash) & mask
        while true {
            let word = words[slot + 1]
            guard word != 0 else { return nil }
            if UInt32(truncatingIfNeeded: word >> 32) == hash {
                let place = Int(word & 0xFFFF_FFFF) - 1
                if isSame(place) { return place }
            }
            slot = (slot + 1) & mask
        }
    }

    /// Adds a name that is not there.
    mutating func insert(hash: UInt32, place: Int) {
        if 2 * (used + 1) > words.count - 1 { grow() }
        put(UInt64(hash) << 32 | UInt64(place + 1))
        words[0] += 1
    }

    private mutating func put(_ word: UInt64) {
        let mask = words.count - 2
        var slot = Int(word >> 32) & mask
        while words[slot + 1] != 0 { slot = (slot + 1) & mask }
        words[slot + 1] = word
    }

    private mutating func grow() {
        let old = words
        words = Array(repeating: 0, count: 2 * (old.count - 1) + 1)
        words[0] = old[0]
        for word in old.dropFirst() where word != 0 { put(word) }
    }

    static func hash(_ content: ArraySlice<UInt8>) -> UInt32 {
        // SAFETY: the pointer is used inside the closure only.
        content.withUnsafeBytes { hash($0) }
    }

    static func hash(_ content: UnsafeRawBufferPointer) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(bytes: content)
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }
}
