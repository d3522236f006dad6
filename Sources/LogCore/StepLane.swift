/// A row of steps that must be done one after the other, and where it stands.
struct StepLane<Work: Sendable>: Sendable {
    /// What the steps are for; `nil` between works.
    private(set) var work: Work?
    private var steps: [LogStep] = []
    private var cursor = 0
    private(set) var isStepOut = false

    var isIdle: Bool { work == nil }

    /// The step that was given out last.
    var current: LogStep { steps[cursor] }

    mutating func start(_ work: Work, steps: [LogStep]) {
        precondition(isIdle && !steps.isEmpty, "one work at a time, with something to do")
        self.work = work
        self.steps = steps
        cursor = 0
    }

    mutating func give() -> LogStep {
        precondition(!isStepOut && !isIdle, "a step is given once, and answered before the next")
        isStepOut = true
        return steps[cursor]
    }

    mutating func taken() {
        precondition(isStepOut, "an answer belongs to a step")
        isStepOut = false
    }

    /// The step is done. The finished work after the last one.
    mutating func advance() -> Work? {
        cursor += 1
        return cursor == steps.count ? abandon() : nil
    }

    /// Ends the work as it stands.
    @discardableResult
    mutating func abandon() -> Work? {
        defer { work = nil }
        // The steps hold the group's bytes: they go before the buffer is written again, or that would copy it.
        steps.removeAll(keepingCapacity: true)
        cursor = 0
        return work
    }
}
