/// Divides a number of equal, indivisible seats by weight, under a cap for each member and one for each group.
///
/// The divisor method of Webster and Sainte-Laguë, seat by seat: the next one goes to the member with the largest
/// `weight / (2 × seats + 1)` that is not capped. Divisor methods, and no others, are free of the population paradox
/// (Balinski and Young, "Fair Representation", 1982): when a member leaves, no other loses a seat; when one joins, none
/// gains. Largest remainders, although never more than one off the exact share, do make seats pass between members that
/// nothing happened to; with shards for seats, each of those would be a move of data for nothing. The caps keep the
/// property, for what they leave open is a (laminar) polymatroid.
enum Apportionment {
    struct Member {
        var weight: UInt64
        var cap: Int
        /// Index into the caps of groups.
        var group: Int
    }

    /// - Parameters:
    ///   - seats: what is to be divided; less is where the caps or zero weights leave no room for all.
    ///   - members: in an order that stays, for it breaks ties.
    /// - Returns: the seats of each member. O((seats + members) log members).
    static func divide(_ seats: Int, among members: [Member], groupCaps: [Int]) -> [Int] {
        var given = [Int](repeating: 0, count: members.count)
        var groupGiven = [Int](repeating: 0, count: groupCaps.count)
        var queue = Heap(
            members.indices.filter { members[$0].weight > 0 && members[$0].cap > 0 }
                .map { Claim(member: $0, weight: members[$0].weight, divisor: 1) })
        var left = seats
        while left > 0, let claim = queue.first {
            let group = members[claim.member].group
            guard groupGiven[group] < groupCaps[group] else {
                queue.removeFirst()
                continue
            }
            given[claim.member] += 1
            groupGiven[group] += 1
            left -= 1
            if given[claim.member] == members[claim.member].cap {
                queue.removeFirst()
            } else {
                queue.replaceFirst(with: claim.next)
            }
        }
        return given
    }

    /// A member's claim to its next seat: `weight / divisor`.
    private struct Claim: Comparable {
        let member: Int
        let weight: UInt64
        let divisor: UInt64

        var next: Claim { Claim(member: member, weight: weight, divisor: divisor + 2) }

        /// Stronger claims first. Exact: weights and divisors are far below 32 bits.
        static func < (left: Claim, right: Claim) -> Bool {
            let leftShare = left.weight * right.divisor
            let rightShare = right.weight * left.divisor
            return leftShare != rightShare ? leftShare > rightShare : left.member < right.member
        }
    }
}

/// A binary heap: the least element first.
struct Heap<Element: Comparable> {
    private var elements: [Element]

    init(_ elements: [Element]) { self.elements = elements.sorted() }

    var first: Element? { elements.first }

    mutating func removeFirst() {
        let last = elements.removeLast()
        if !elements.isEmpty { replaceFirst(with: last) }
    }

    mutating func replaceFirst(with element: Element) {
        var hole = 0
        while true {
            var child = 2 * hole + 1
            guard child < elements.count else { break }
            if child + 1 < elements.count, elements[child + 1] < elements[child] { child += 1 }
            guard elements[child] < element else { break }
            elements[hole] = elements[child]
            hole = child
        }
        elements[hole] = element
    }
}
