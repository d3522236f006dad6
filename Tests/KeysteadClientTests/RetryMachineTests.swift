import Testing

@testable import KeysteadClient

@Suite struct RetryMachineTests {
    private func machine(_ repetition: Repetition, attempts: Int = 4, endpoints: Int = 1) -> RetryMachine {
        var policy = RetryPolicy()
        policy.attemptsMax = attempts
        policy.backoffMin = .milliseconds(100)
        policy.backoffMax = .milliseconds(400)
        return RetryMachine(
            repetition: repetition, policy: policy, endpointCount: endpoints, deadline: .seconds(30), seed: 1)
    }

    private func error(
        _ code: KeysteadError.Code, _ applied: KeysteadError.Applied, _ retry: KeysteadError.Retry, status: Int? = nil,
        retryAfter: Duration? = nil
    ) -> KeysteadError {
        KeysteadError(code: code, status: status, detail: "D", applied: applied, retry: retry, retryAfter: retryAfter)
    }

    private var unknown: KeysteadError { error(.connectionLost, .unknown, .withKey) }
    private var overloaded: KeysteadError { error(.overloaded, .no, .safe, status: 503) }
    private var unreachable: KeysteadError { error(.unreachable, .no, .safe) }
    private var refused: KeysteadError { error(.preconditionFailed, .no, .never, status: 412) }

    @Test(arguments: [Repetition.harmless, .bare, .keyed, .guarded])
    func aRefusalIsFinal(repetition: Repetition) {
        var machine = machine(repetition)
        #expect(machine.failed(refused, elapsed: .zero) == .fail(refused))
    }

    @Test(arguments: [Repetition.harmless, .bare, .keyed, .guarded])
    func whatChangedNothingIsSentAgain(repetition: Repetition) {
        var machine = machine(repetition)
        guard case .attempt(let wait, let moves) = machine.failed(overloaded, elapsed: .zero) else {
            Issue.record("no further attempt")
            return
        }
        #expect(wait >= .milliseconds(50) && wait <= .milliseconds(100))
        #expect(!moves)
    }

    @Test func aBareWriteIsNeverSentAgainOnceUnknown() {
        var machine = machine(.bare)
        #expect(machine.failed(unknown, elapsed: .zero) == .fail(unknown))
    }

    @Test func aKeyedWriteIsLookedUpFirst() {
        var machine = machine(.keyed)
        guard case .lookUp = machine.failed(unknown, elapsed: .zero) else {
            Issue.record("no look-up")
            return
        }
        #expect(machine.outcomeAbsent() == .attempt(after: .zero, nextEndpoint: false))
        // A look-up that fails is tried again as a look-up: the write's outcome still is unknown.
        guard case .lookUp = machine.failed(overloaded, elapsed: .zero) else {
            Issue.record("no second look-up")
            return
        }
    }

    /// The first attempt may have made the precondition false: the refusal of the second does not say "no".
    @Test func onceUnknownOnlySuccessMakesItKnown() {
        var machine = machine(.guarded)
        guard case .attempt = machine.failed(unknown, elapsed: .zero) else {
            Issue.record("a guarded write may be sent again")
            return
        }
        guard case .fail(let final) = machine.failed(refused, elapsed: .zero) else {
            Issue.record("a refusal is final")
            return
        }
        #expect(final.code == .preconditionFailed)
        #expect(final.applied == .unknown)
        #expect(final.retry == .withKey)
    }

    @Test func everyEndpointIsTriedBeforeTheFirstWait() {
        var machine = machine(.bare, endpoints: 3)
        #expect(machine.failed(unreachable, elapsed: .zero) == .attempt(after: .zero, nextEndpoint: true))
        #expect(machine.failed(unreachable, elapsed: .zero) == .attempt(after: .zero, nextEndpoint: true))
        guard case .attempt(let wait, true) = machine.failed(unreachable, elapsed: .zero) else {
            Issue.record("no further attempt")
            return
        }
        #expect(wait > .zero)
    }

    @Test func attemptsAreBounded() {
        var machine = machine(.harmless, attempts: 3)
        var sent = 1
        while case .attempt = machine.failed(overloaded, elapsed: .zero) { sent += 1 }
        #expect(sent == 3)
    }

    @Test func retryAfterIsWaitedFor() {
        var machine = machine(.bare)
        let later = error(.overloaded, .no, .safe, status: 503, retryAfter: .seconds(2))
        #expect(machine.failed(later, elapsed: .zero) == .attempt(after: .seconds(2), nextEndpoint: false))
    }

    @Test func noWaitGoesBeyondTheDeadline() {
        var machine = machine(.bare)
        let later = error(.overloaded, .no, .safe, status: 503, retryAfter: .seconds(2))
        #expect(machine.failed(later, elapsed: .seconds(28)) == .fail(later))
    }

    /// Its fourth answer would come after the deadline, and nobody would hear what is wrong.
    @Test func aSlowRefusalIsNotCutOff() {
        var machine = machine(.harmless)
        for seconds: Int64 in [8, 17] {
            guard case .attempt = machine.failed(overloaded, elapsed: .seconds(seconds)) else {
                Issue.record("there is time for another attempt")
                return
            }
        }
        #expect(machine.failed(overloaded, elapsed: .seconds(25)) == .fail(overloaded))
    }

    @Test func waitsDoubleUpToTheirBound() {
        var machine = machine(.harmless, attempts: 10)
        let bounds: [Int64] = [100, 200, 400, 400, 400]
        for bound in bounds {
            guard case .attempt(let wait, _) = machine.failed(overloaded, elapsed: .zero) else {
                Issue.record("attempts ended early")
                return
            }
            #expect(wait >= .milliseconds(bound / 2) && wait <= .milliseconds(bound))
        }
    }
}
