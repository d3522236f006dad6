import Primitives
import Synchronization

/// How large the entities were that had to be read from the disk lately: only the larger ones, by a part of their
/// hash. With it room is asked for before such a one is read again, and not after. A hint: it may be wrong or missing.
/// Any thread may call.
// SAFETY: the places are atomic, and live as long as the object.
final class ReadSizes: @unchecked Sendable {
    private let places = UnsafeMutablePointer<Atomic<UInt64>>.allocate(capacity: Limits.readSizesMax)

    init() {
        for place in 0..<Limits.readSizesMax { (places + place).initialize(to: Atomic(0)) }
    }

    deinit {
        places.deinitialize(count: Limits.readSizesMax)
        places.deallocate()
    }

    /// Copies of a record that its answer is charged: the record, and its text on the way to the socket.
    static let copies = 2

    /// What an answer with a record of `bytes` is charged.
    static func answerBytes(of bytes: Int) -> Int { copies * bytes }

    /// What an answer with the entity was charged last; `nil`: it was small, or nothing is known.
    func bytes(of ringHash: UInt64) -> Int? {
        let word = place(of: ringHash).pointee.load(ordering: .relaxed)
        guard word & Self.sizeMask != 0, Self.isOf(ringHash, word) else { return nil }
        return Int(word & Self.sizeMask) << 10
    }

    /// - Parameter bytes: what an answer with the entity is charged.
    func note(_ ringHash: UInt64, bytes: Int) {
        let place = place(of: ringHash)
        if bytes > Limits.memorySmallBytesMax {
            let kibibytes = min(UInt64((bytes + 1023) >> 10), Self.sizeMask)
            place.pointee.store(ringHash & ~Self.sizeMask | kibibytes, ordering: .relaxed)
        } else if Self.isOf(ringHash, place.pointee.load(ordering: .relaxed)) {
            place.pointee.store(0, ordering: .relaxed)
        }
    }

    /// The low bits of a word are the size in KiB: two copies of the largest entity fit.
    private static let sizeMask: UInt64 = (1 << 16) - 1

    private static func isOf(_ ringHash: UInt64, _ word: UInt64) -> Bool { (word ^ ringHash) & ~sizeMask == 0 }

    private func place(of ringHash: UInt64) -> UnsafeMutablePointer<Atomic<UInt64>> {
        places + Int((ringHash >> 20) % UInt64(Limits.readSizesMax))
    }
}
