import NIOCore

/// The workers of a run, one a loop, and the order of its stages.
struct Crew: Sendable {
    private struct Member: Sendable {
        let loop: any EventLoop
        let worker: NIOLoopBound<Worker>

        func ask<Value: Sendable>(_ question: @escaping @Sendable (Worker) -> Value) async throws -> Value {
            try await loop.submit { question(worker.value) }.get()
        }

        func begin<Value: Sendable>(
            _ work: @escaping @Sendable (Worker) -> EventLoopFuture<Value>
        ) -> EventLoopFuture<Value> {
            loop.flatSubmit { work(worker.value) }
        }
    }

    private let configuration: LoadConfiguration
    private let progress: (@Sendable (LoadProgress) -> Void)?
    private let members: [Member]

    init(
        loops: [any EventLoop], configuration: LoadConfiguration, progress: (@Sendable (LoadProgress) -> Void)?
    ) async throws {
        let zipfian =
            OperationSource.needsZipfian(configuration) ? ZipfianDistribution(count: configuration.records) : nil
        var members: [Member] = []
        for (index, loop) in loops.enumerated() {
            let worker = try await loop.submit {
                let worker = Worker(loop: loop, configuration: configuration, index: index, zipfian: zipfian)
                return NIOLoopBound(worker, eventLoop: loop)
            }.get()
            members.append(Member(loop: loop, worker: worker))
        }
        self.configuration = configuration
        self.progress = progress
        self.members = members
    }

    // MARK: Stages

    /// All stages in order. The connections stay open until `close`.
    func run() async throws -> LoadReport {
        do {
            try await all { $0.connect() }
        } catch {
            throw LoadError.unreachable("\(configuration.host):\(configuration.port): \(error)")
        }
        if configuration.loadsRecords || configuration.loadsOnly {
            let start = NIODeadline.now().uptimeNanoseconds
            try await watched(.loading, start: start, seconds: nil, operations: configuration.recordsToLoad) {
                worker, _ in
                worker.load(start: start)
            }
            if configuration.loadsOnly { return try await report(StagePlan(start: start), counter: nil) }
        }
        if configuration.warmupSeconds > 0 {
            _ = try await runStage(.warmup, .seconds(configuration.warmupSeconds))
        }
        let counterBefore = configuration.isCounter ? try await readCounter() : nil
        let acknowledgedBefore = try await sum { $0.acknowledgedIncrements }
        let uncertainBefore = try await sum { $0.uncertainIncrements }
        let plan = try await runStage(.measuring, configuration.extent)
        let counter = CounterCheck(
            before: counterBefore,
            after: configuration.isCounter ? try await readCounter() : nil,
            acknowledged: try await sum { $0.acknowledgedIncrements } - acknowledgedBefore,
            uncertain: try await sum { $0.uncertainIncrements } - uncertainBefore)
        return try await report(plan, counter: configuration.isCounter ? counter : nil)
    }

    func close() async throws {
        for member in members { try await member.ask { $0.close() } }
    }

    private func runStage(_ stage: LoadProgress.Stage, _ extent: LoadConfiguration.Extent) async throws -> StagePlan {
        var plan = StagePlan(start: NIODeadline.now().uptimeNanoseconds)
        var seconds: Double?
        var operations: Int?
        switch extent {
        case .seconds(let length):
            plan.ends = plan.start + UInt64(length * 1e9)
            seconds = length
        case .operations(let count):
            operations = count
        }
        let whole = plan
        let loops = configuration.loops
        let wanted = operations
        try await watched(stage, start: plan.start, seconds: seconds, operations: operations) { worker, index in
            var part = whole
            if let wanted { part.operationsLeft = wanted / loops + (index < wanted % loops ? 1 : 0) }
            return worker.run(part)
        }
        return plan
    }

    /// Runs a stage on every loop, and reports on it each second until all have ended.
    private func watched(
        _ stage: LoadProgress.Stage, start: UInt64, seconds: Double?, operations: Int?,
        _ work: @escaping @Sendable (Worker, Int) -> EventLoopFuture<Void>
    ) async throws {
        let futures = members.enumerated().map { index, member in member.begin { work($0, index) } }
        let ended = EventLoopFuture.andAllSucceed(futures, on: members[0].loop)
        guard let progress else { return try await ended.get() }
        let watcher = Task {
            var previous = 0
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1))
                let completed = try await sum { $0.recorder.completed }
                let elapsed = Double(NIODeadline.now().uptimeNanoseconds - start) / 1e9
                let fraction = seconds.map { elapsed / $0 } ?? operations.map { Double(completed) / Double($0) }
                progress(
                    LoadProgress(
                        stage: stage, elapsedSeconds: elapsed, operations: completed,
                        operationsPerSecond: Double(completed - previous),
                        errors: try await sum { $0.recorder.errorCount },
                        fraction: fraction.map { min(1, $0) }))
                previous = completed
            }
        }
        defer { watcher.cancel() }
        try await ended.get()
    }

    // MARK: Questions to all

    private func all(_ work: @escaping @Sendable (Worker) -> EventLoopFuture<Void>) async throws {
        try await EventLoopFuture.andAllSucceed(members.map { $0.begin(work) }, on: members[0].loop).get()
    }

    private func sum(_ question: @escaping @Sendable (Worker) -> Int) async throws -> Int {
        var total = 0
        for member in members { total += try await member.ask(question) }
        return total
    }

    private func readCounter() async throws -> UInt64? {
        try await members[0].begin { $0.readCounter() }.get()
    }

    private func report(_ plan: StagePlan, counter: CounterCheck?) async throws -> LoadReport {
        var recorder = Recorder(start: plan.start)
        var busiest: UInt64 = 0
        var total: UInt64 = 0
        for member in members {
            recorder.merge(try await member.ask { $0.recorder })
            let cpu = try await member.ask { $0.cpuNanoseconds }
            busiest = max(busiest, cpu)
            total += cpu
        }
        return LoadReport(
            configuration: configuration,
            measured: Measured(
                recorder: recorder,
                elapsed: Measured.elapsed(plan, lastCompletion: recorder.lastCompletion),
                busiestLoop: busiest, allLoops: total,
                backlog: try await sum { $0.backlog }, counter: counter))
    }
}
