import Testing

extension Cluster {
    /// The checker of histories catches what it is there for, and nothing else.
    @Suite struct CheckerTests {
        private func at(_ start: UInt64, _ end: UInt64, _ result: Observation.Result) -> Observation {
            Observation(entity: "k/a", invoked: start, returned: end, result: result, through: "n1")
        }

        private func wrote(_ number: Int, _ version: UInt64, over: UInt64? = nil) -> Observation.Result {
            .wrote(.written(number), version: version, over: over)
        }

        private func saw(_ number: Int, _ version: UInt64, at position: UInt64? = nil) -> Observation.Result {
            .saw(.written(number), version: version, position: position ?? version)
        }

        private func sawNothing(at position: UInt64) -> Observation.Result {
            .saw(.absent, version: nil, position: position)
        }

        @Test func soundHistoriesPass() {
            let sound: [[Observation]] = [
                [],
                [at(1, 2, sawNothing(at: 3)), at(3, 4, wrote(1, 5)), at(5, 6, saw(1, 5, at: 9))],
                // Operations that overlap may be seen in either order.
                [at(1, 9, wrote(1, 5)), at(2, 3, saw(1, 5)), at(2, 8, sawNothing(at: 4))],
                [at(1, 9, wrote(1, 5)), at(1, 9, wrote(2, 4)), at(10, 11, saw(1, 5))],
                // What was never answered may have happened, late or not at all.
                [at(1, 2, .mayHaveWritten(.written(1))), at(3, 4, sawNothing(at: 1)), at(5, 6, saw(1, 7))],
                [at(1, 2, wrote(1, 3)), at(3, 4, .mayHaveWritten(.absent)), at(5, 6, sawNothing(at: 8))],
                [at(1, 2, wrote(1, 3)), at(3, 4, .mayHaveWritten(.written(2))), at(5, 6, saw(1, 3))],
                [at(1, 2, wrote(1, 3)), at(3, 4, wrote(2, 8, over: 3)), at(5, 6, .sawVersion(8))],
                [at(1, 2, wrote(1, 3)), at(3, 4, .wrote(.absent, version: 4, over: nil)), at(5, 6, sawNothing(at: 4))],
            ]
            for history in sound { #expect(Linearizability.violations(of: history).isEmpty, "\(history)") }
        }

        @Test func brokenHistoriesAreCaught() {
            let broken: [[Observation]] = [
                // A lost write, read as absence, as an older state, and as an older version.
                [at(1, 2, wrote(1, 3)), at(3, 4, sawNothing(at: 8))],
                [at(1, 2, wrote(1, 3)), at(3, 4, wrote(2, 5)), at(5, 6, saw(1, 3))],
                [at(1, 2, wrote(1, 3)), at(3, 4, wrote(2, 5)), at(5, 6, .sawVersion(3))],
                // A stale read: true at its position, and too old by the time it was asked for.
                [at(1, 2, wrote(1, 3)), at(3, 4, sawNothing(at: 2))],
                // A write that went behind what was already read.
                [at(1, 2, wrote(2, 5)), at(3, 4, saw(2, 5, at: 9)), at(5, 6, wrote(3, 7))],
                // One version for two writes; two versions for one.
                [at(1, 9, wrote(1, 3)), at(1, 9, wrote(2, 3))],
                [at(1, 2, .mayHaveWritten(.written(1))), at(3, 4, saw(1, 3)), at(5, 6, saw(1, 4))],
                // What nobody wrote, what had been refused, what was sent only later.
                [at(1, 2, saw(7, 3))],
                [at(1, 2, .refused(.written(1))), at(3, 4, saw(1, 3))],
                [at(1, 2, saw(1, 3)), at(3, 4, wrote(1, 3))],
                // A read that unknown writes took back and forth.
                [
                    at(1, 2, wrote(1, 3)), at(3, 4, .mayHaveWritten(.written(2))), at(5, 6, saw(2, 4)),
                    at(7, 8, saw(1, 3)),
                ],
                // A conditional write over something that was no longer there.
                [at(1, 2, wrote(1, 3)), at(3, 9, wrote(2, 5)), at(3, 9, wrote(3, 8, over: 3))],
                // A delete that did not last.
                [at(1, 2, wrote(1, 3)), at(3, 4, .wrote(.absent, version: 4, over: nil)), at(5, 6, saw(1, 3, at: 9))],
            ]
            for history in broken { #expect(!Linearizability.violations(of: history).isEmpty, "\(history)") }
        }
    }
}
