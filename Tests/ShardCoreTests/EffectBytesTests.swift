import Entities
import Primitives
import ShardCore
import Testing

/// What a machine says that its effects hold: everything appended and not applied, and nothing else.
@Suite struct EffectBytesTests {
    private static let large = "{\"n\":1,\"text\":\"" + String(repeating: "x", count: 10_000) + "\"}"

    @Test func aPutHoldsItsEncoding() {
        var bench = Bench()
        bench.write(put("a/1", Self.large))
        #expect(bench.machine.effectBytes > 10_000)
        #expect(bench.machine.effectBytes < 11_000)
        bench.commit()
        #expect(bench.machine.effectBytes == 0)
    }

    /// However small its document is, a patch holds the state that it made, and that again as it goes to the log.
    @Test func aPatchHoldsWhatItMade() {
        var bench = Bench()
        bench.write(put("a/1", Self.large))
        bench.commit()
        for count in 1...4 {
            bench.write(increment("a/1"))
            #expect(bench.machine.effectBytes > count * 20_000)
        }
        bench.write(increment("a/1"))
        _ = bench.machine.takeGroup()
        bench.refuse(from: bench.machine.applied.rawValue + 1)
        #expect(bench.machine.effectBytes == 0, "the log has taken none of them")
        bench.write(increment("a/1"))
        bench.machine.stepDown(Problem(.shardUnavailable, "moved"))
        #expect(bench.machine.effectBytes == 0)
    }

    /// Any order of writes, commits and refusals: nothing in flight holds nothing.
    @Test func anIdleMachineHoldsNothing() {
        var generator = SplitMix64(seed: 9)
        var bench = Bench()
        for _ in 0..<500 {
            switch generator.below(5) {
            case 0: bench.write(put("a/\(generator.below(3))", Self.large))
            case 1, 2: bench.write(increment("a/\(generator.below(3))"))
            case 3: bench.commit()
            default:
                guard let group = bench.machine.takeGroup() else { continue }
                bench.refuse(from: group.first.rawValue)
            }
            if bench.machine.appended == bench.machine.applied { #expect(bench.machine.effectBytes == 0) }
            _ = bench.answers()
        }
        bench.commit()
        #expect(bench.machine.effectBytes == 0)
    }
}
