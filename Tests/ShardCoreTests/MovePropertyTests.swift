import Primitives
import ShardCore
import Testing

@Suite struct MovePropertyTests {
    /// Enough for each of the situations below to come about; a debug build is slow.
    private static let seeds = 48

    @Test func movesEndWithOneOwnerThatHasEverything() {
        var seen: Set<String> = []
        for seed in 1...(Self.seeds) {
            let world = MoveWorld(MoveWorld.Options(seed: UInt64(seed)))
            if let failure = world.play() {
                Issue.record("\(failure)")
                return
            }
            seen.formUnion(world.seen)
        }
        let wanted: Set<String> = [
            "cancelled", "forwarded", "handover unknown", "opened as owner", "restart", "resumed", "source crashed",
            "source crashed frozen", "target crashed", "target crashed serving", "thawed",
            "unknown to a former owner", "withdrawn",
        ]
        #expect(wanted.subtracting(seen).isEmpty)
    }

    @Test func withoutFaultsAMoveIsQuick() {
        for seed in 1...12 {
            let world = MoveWorld(
                MoveWorld.Options(seed: UInt64(seed) * 3 + 1, crashes: false, cancels: false, loss: false))
            let failure = world.play()
            #expect(failure == nil)
            #expect(world.time < 12_000_000_000)
        }
    }

    #if KEYSTEAD_MUTANTS
        @Test(arguments: [
            Mutant.freezeDropsQueue, .handoverWithoutStoppingReads, .resumeWithoutChecking,
            .handoverBeforeTargetDurable, .teeGapIgnored, .restartWithoutReadingOwner,
        ])
        func aPlantedBugIsSeen(_ mutant: Mutant) {
            let caught = (1...300).first { seed in
                MoveWorld(MoveWorld.Options(seed: UInt64(seed), mutants: Mutants([mutant]))).play() != nil
            }
            #expect(caught != nil, "\(mutant) survives 300 seeds")
        }
    #endif
}
