import ClusterCore
import Entities
import HashRing
import Primitives
import Testing

@Suite struct RequestRouteTests {
    private let here = NodeID.named("n1")
    private let there = NodeID.named("n2")

    private func time(_ milliseconds: UInt64) -> MonotonicTime { .zero.adding(nanoseconds: milliseconds * 1_000_000) }

    /// The way of a request that came to `here` at 0 and may take ten seconds.
    private func route(isForwarded: Bool = false, isWrite: Bool = true, mayRepeat: Bool = false) -> RequestRoute {
        RequestRoute(
            node: here, isForwarded: isForwarded, isWrite: isWrite, mayRepeat: mayRepeat, deadline: time(10_000))
    }

    /// The next step that is no pause and no reading of the map, and when it comes.
    private func step(
        _ route: inout RequestRoute, owner: NodeID?, from milliseconds: UInt64
    ) -> (at: MonotonicTime, step: RequestRoute.Step) {
        var now = time(milliseconds)
        while true {
            let step = route.next(owner: owner, now: now)
            switch step {
            case .pause(let until):
                precondition(until > now, "a pause ends")
                now = until
            case .readMap: continue
            case .execute, .forward, .answerNotOwner, .refuse: return (now, step)
            }
        }
    }

    private func code(_ step: RequestRoute.Step) -> ProblemCode? {
        if case .refuse(let problem) = step { problem.code } else { nil }
    }

    private func isForward(_ step: RequestRoute.Step) -> Bool {
        if case .forward(there) = step { true } else { false }
    }

    @Test func aRequestGoesToTheOwner() {
        var route = route()
        #expect(isForward(step(&route, owner: there, from: 0).step))
        guard case .execute = step(&route, owner: here, from: 0).step else { return #expect(Bool(false)) }
    }

    @Test func aForwardedRequestHasHadItsHop() {
        var route = route(isForwarded: true)
        guard case .execute = route.next(owner: here, now: time(0)) else { return #expect(Bool(false)) }
        for owner in [there, nil] {
            guard case .answerNotOwner = route.next(owner: owner, now: time(0)) else { return #expect(Bool(false)) }
        }
    }

    @Test func theMapIsReadBeforeThePause() {
        var route = route()
        route.notOwner(now: time(0))
        guard case .readMap = route.next(owner: there, now: time(0)) else { return #expect(Bool(false)) }
        guard case .pause(let until) = route.next(owner: there, now: time(0)) else { return #expect(Bool(false)) }
        #expect(until == time(Limits.routePauseMilliseconds))
        #expect(isForward(route.next(owner: there, now: until)))
    }

    @Test func aShardThatChangesHandsIsWaitedForUntilTheDeadline() {
        var route = route()
        var now: UInt64 = 0
        for _ in 0..<10_000 where now < 10_000 {
            let (at, step) = step(&route, owner: here, from: now)
            if let code = code(step) {
                #expect(code == .shardUnavailable && at >= time(10_000))
                return
            }
            now = at.nanoseconds / 1_000_000
            route.notYet(now: at)
        }
        #expect(code(step(&route, owner: here, from: now).step) == .shardUnavailable)
    }

    @Test func anOwnerOutOfReachIsTriedForAMomentOnly() {
        var route = route()
        var attempts: [MonotonicTime] = []
        var next = step(&route, owner: there, from: 0)
        while isForward(next.step), attempts.count < 100 {
            attempts.append(next.at)
            route.notSent("refused", now: next.at)
            next = step(&route, owner: there, from: next.at.nanoseconds / 1_000_000)
        }
        #expect(code(next.step) == .shardUnavailable && attempts.count > 3)
        #expect(next.at < time(2 * Limits.routeUnreachableMilliseconds))
        let last = attempts.last ?? .zero
        #expect(last >= time(UInt64(Limits.peerBackoffMillisecondsMax)), "it found the connection's back-off over")
    }

    @Test func whoeverAnswersCanBeReached() {
        var route = route()
        for round in 0..<20 as Range<UInt64> {
            let now = round * Limits.routeUnreachableMilliseconds
            route.notSent("refused", now: time(now))
            route.notOwner(now: time(now + 1))
        }
        #expect(isForward(step(&route, owner: there, from: 20 * Limits.routeUnreachableMilliseconds).step))
    }

    @Test func aBareWriteWhoseAnswerWasLostIsNeverSentAgain() {
        var route = route()
        route.answerLost("reset", now: time(5))
        #expect(code(route.next(owner: there, now: time(5))) == .outcomeUnknown)
        #expect(code(route.next(owner: here, now: time(5000))) == .outcomeUnknown)
    }

    @Test func whatMayBeRepeatedIs() {
        for isWrite in [true, false] {
            var route = route(isWrite: isWrite, mayRepeat: true)
            route.answerLost("reset", now: time(5))
            #expect(isForward(step(&route, owner: there, from: 5).step))
            // Out of reach from here on: a write may have happened all the same.
            route.notSent("refused", now: time(20))
            let (_, last) = step(&route, owner: there, from: 20 + Limits.routeUnreachableMilliseconds)
            #expect(code(last) == (isWrite ? .outcomeUnknown : .shardUnavailable))
        }
    }

    @Test func anOwnerThatTookTheRequestWasReached() {
        var route = route(mayRepeat: true)
        route.notSent("refused", now: time(0))
        let late = 2 * Limits.routeUnreachableMilliseconds
        route.answerLost("reset", now: time(late))
        #expect(isForward(step(&route, owner: there, from: late).step))
    }

    /// An owner that takes every connection and answers nothing hangs: it is asked twice, and then callers hear so.
    @Test func anOwnerThatAnswersNothingIsNotAskedForEver() {
        for isWrite in [true, false] {
            var route = route(isWrite: isWrite, mayRepeat: true)
            var now: UInt64 = 0
            var attempts = 0
            while true {
                let (at, next) = step(&route, owner: there, from: now)
                if let code = code(next) {
                    #expect(code == (isWrite ? .outcomeUnknown : .shardUnavailable))
                    break
                }
                attempts += 1
                now = at.nanoseconds / 1_000_000 + UInt64(Limits.peerAwaitedSilenceMilliseconds)
                route.answerLost("silent", now: time(now))
            }
            #expect(attempts == 2 && now < 5000)
        }
    }

    /// Whoever has answered since is asked on, however late its next answer is.
    @Test func anOwnerThatIsSlowIsWaitedFor() {
        var route = route(mayRepeat: true)
        route.answerLost("reset", now: time(5))
        route.notOwner(now: time(20))
        let late = 20 + 2 * Limits.routeLostMilliseconds
        #expect(isForward(step(&route, owner: there, from: late).step))
        route.answerLost("reset", now: time(late + 5))
        #expect(isForward(step(&route, owner: there, from: late + 5).step))
        let found = Answer.found(
            StoredRecord(
                version: Position(1), updatedAt: .zero, expiresAt: nil, contentType: [UInt8](), state: [UInt8]()),
            ShardPosition(shard: ShardID(0), position: Position(1)))
        #expect(route.answered(found, now: time(9_999)) != nil)
    }

    @Test func afterALossNoRefusalSaysThatNothingHappened() {
        let refused = Answer.refused(Problem(.overloaded, "full"), currentVersion: nil, nil)
        var route = route(mayRepeat: true)
        guard case .refused(let before, _, _) = route.answered(refused, now: time(1)) else {
            return #expect(Bool(false))
        }
        #expect(before.code == .overloaded)
        route.answerLost("reset", now: time(5))
        #expect(route.answered(refused, now: time(6)) == nil, "it is asked again")
        guard case .refused(let late, _, _) = route.answered(refused, now: time(10_000)) else {
            return #expect(Bool(false))
        }
        #expect(late.code == .outcomeUnknown)
    }
}
