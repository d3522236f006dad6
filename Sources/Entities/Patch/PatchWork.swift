import JSON
import Primitives

/// What one patch may still cost, in bytes of work: bytes read, compared, copied and written, and what values cost
/// beside their text. A byte of work takes a nanosecond or a few, so the budget bounds how long a patch holds its loop.
///
/// What is charged depends on the patch and on the state that it meets alone, never on what is known of that state
/// already: a state that is kept read within a group is charged to each operation as if it were read anew. Else the
/// same patch would be refused or take effect by what else happened to be in its group.
struct PatchWork {
    private(set) var left: Int
    /// What the patch may cost at all.
    private let allowed: Int
    /// What it may cost here, which may be less.
    private let share: Int

    /// - Parameters:
    ///   - bytesMax: bytes that a state may have.
    ///   - share: where to stop although the patch may cost more, see ``isCut``.
    init(bytesMax: Int, share: Int = .max) {
        allowed = Limits.patchWorkBytesBase + Limits.patchWorkBytesPerStateByte * bytesMax
        self.share = min(share, allowed)
        left = self.share
    }

    var spent: Int { share - left }

    /// The share is spent, and the patch may cost more: what was thrown says nothing of the patch.
    var isCut: Bool { left < 0 && share < allowed }

    mutating func spend(_ cost: Int) throws(PatchFault) {
        left -= cost
        guard left >= 0 else { throw .tooMuchWork(allowed: allowed) }
    }

    /// ``spend(_:)`` where no step of the patch is to be named.
    mutating func charge(_ cost: Int) throws(Problem) {
        left -= cost
        guard left >= 0 else { throw problem }
    }

    /// The problem of a patch that needs more than is left, however much that is.
    mutating func exhausted() -> Problem {
        left = -1
        return problem
    }

    private var problem: Problem {
        Problem(.patchFailed, "the patch and the state: " + Self.sentence(allowed: allowed))
    }

    static func sentence(allowed: Int) -> String {
        "reading, comparing, copying and writing takes more than the \(allowed) bytes of work that one patch may take; "
            + "split the patch, or keep less in one entity"
    }
}

/// What steps of a patch cost.
enum PatchCost {
    /// Finding a member among `count`: names are compared one by one in a small object, where long ones are not, and
    /// hashed in a larger one.
    static func member(_ name: ArraySlice<UInt8>, among count: Int) -> Int {
        let compared =
            count > JSONObject.unindexedMax ? 0 : count * min(name.count, JSONObject.unindexedNameBytesMax)
        return step + compared + 2 * name.count
    }

    /// Following one token of a pointer, or looking at one value.
    static let step = 16

    /// Making room for, or closing the gap of, an element with `count` elements behind it, in an array of `total`.
    static func shift(_ count: Int, of total: Int) -> Int { total > cachedElementsMax ? 4 * count : count }

    /// An array that is larger than this does not stay in the processor's cache.
    private static let cachedElementsMax = 1 << 14

    static func compare(_ left: JSONNumber, _ right: JSONNumber) -> Int {
        step + 8 * (left.textCount + right.textCount)
    }

    /// An escape is at most six times as long as what it stands for.
    static func compare(_ left: JSONString, _ right: JSONString) -> Int {
        let shorter = min(left.textCount, right.textCount)
        guard left.hasEscapes || right.hasEscapes else { return step + shorter / 4 }
        return step + 4 * (shorter + min(6 * shorter, max(left.textCount, right.textCount)))
    }
}
