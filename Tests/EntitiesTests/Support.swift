import Entities
import Primitives

let ringSeed: UInt64 = 0x6B65_7973_7465_6164

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

func key(_ plain: String) throws -> EntityKey { try EntityKey(plain: bytes(plain)[...], seed: ringSeed) }

/// The code of the problem that `body` ends with, `nil` where it ends well.
func problemCode(_ body: () throws -> Void) -> ProblemCode? {
    do {
        try body()
        return nil
    } catch let problem as Problem {
        return problem.code
    } catch {
        return nil
    }
}

extension SplitMix64 {
    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }

    mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}
