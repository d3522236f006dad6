/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
///
/// The only generator in the project: one 64-bit state, the same sequence everywhere for the same seed. Not for
/// secrets.
public struct SplitMix64: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { self.state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// Uniform in `0 ..< bound` (Lemire's multiply and shift; the bias below 2^-32 for the bounds in use is accepted,
    /// so that each draw takes exactly one step of the generator and traces stay aligned).
    public mutating func below(_ bound: UInt64) -> UInt64 {
        precondition(bound > 0, "a draw needs at least one outcome")
        return next().multipliedFullWidth(by: bound).high
    }

    public mutating func below(_ bound: Int) -> Int { Int(below(UInt64(bound))) }

    /// True with probability `numerator / denominator`.
    public mutating func chance(_ numerator: UInt64, in denominator: UInt64) -> Bool {
        below(denominator) < numerator
    }

    /// An independent generator; this one moves on by a step.
    public mutating func split() -> SplitMix64 { SplitMix64(seed: next()) }
}
