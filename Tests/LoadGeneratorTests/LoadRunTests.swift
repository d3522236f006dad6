import Testing

@testable import LoadGenerator

/// Whole runs against a server in this process. Nothing here looks at how long anything took.
@Suite(.timeLimit(.minutes(5))) struct LoadRunTests {
    private func configuration(_ workload: Workload, port: Int) -> LoadConfiguration {
        var configuration = LoadConfiguration()
        configuration.port = port
        configuration.dialect = .redis
        configuration.workload = workload
        configuration.records = 100
        configuration.valueBytes = 64
        configuration.connections = 6
        configuration.loops = 2
        configuration.extent = .operations(2001)
        configuration.verifyEvery = 2
        return configuration
    }

    @Test(arguments: Workload.allCases)
    func everyWorkloadIsSound(workload: Workload) async throws {
        try await FakeRedis.with(.none) { port in
            let report = try await LoadRun(configuration(workload, port: port)).run()
            #expect(report.operations == 2001)
            #expect(report.errors.isEmpty && report.isSound)
            #expect(report.latency.count == 2001)
            #expect((report.counter != nil) == (workload == .hot))
            if workload == .c { #expect(report.lengthsVerified == 2001 && report.contentsVerified > 500) }
        }
    }

    @Test func anOpenLoopSendsEachOperationOnce() async throws {
        try await FakeRedis.with(.none) { port in
            var open = configuration(.a, port: port)
            open.rate = 20_000
            open.extent = .operations(1000)
            let report = try await LoadRun(open).run()
            #expect(report.operations == 1000 && report.errors.isEmpty && report.isSound)
        }
    }

    /// Fewer operations than connections: most never get a turn, and the run ends all the same.
    @Test func anOpenLoopEndsWithConnectionsToSpare() async throws {
        try await FakeRedis.with(.none) { port in
            var open = configuration(.a, port: port)
            open.rate = 50_000
            open.extent = .operations(3)
            for _ in 0..<20 {
                let report = try await LoadRun(open).run()
                #expect(report.operations == 3)
            }
        }
    }

    @Test func onlyTheLoadPhase() async throws {
        try await FakeRedis.with(.none) { port in
            var load = configuration(.a, port: port)
            load.loadsOnly = true
            let report = try await LoadRun(load).run()
            #expect(report.operations == 100 && report.latencyByKind.map(\.name) == ["insert"])
            load.loadsOnly = false
            load.loadsRecords = false
            load.workload = .get
            #expect(try await LoadRun(load).run().errors.isEmpty, "the records are all there")
        }
    }

    @Test func corruptedReadsAreNoResult() async throws {
        try await FakeRedis.with(.corruptsReads) { port in
            let report = try await LoadRun(configuration(.c, port: port)).run()
            #expect(!report.isSound)
            #expect(report.wrongAnswers > 0 && report.wrongAnswers == report.errorCount)
            #expect(report.errors.map(\.name) == ["wrong content"])
            #expect(report.operations + report.errorCount == 2001)
        }
    }

    @Test func absentRecordsAndOtherLengthsAreErrors() async throws {
        try await FakeRedis.with(.none) { port in
            var run = configuration(.get, port: port)
            run.loadsRecords = false
            #expect(try await LoadRun(run).run().errors.map(\.count) == [2001])
            run.loadsRecords = true
            run.loadsOnly = true
            _ = try await LoadRun(run).run()
            run.loadsRecords = false
            run.loadsOnly = false
            run.valueBytes = 65
            let report = try await LoadRun(run).run()
            #expect(report.errors.map(\.name) == ["wrong length"] && !report.isSound)
        }
    }

    @Test func lostIncrementsAreNoResult() async throws {
        try await FakeRedis.with(.losesIncrements) { port in
            let report = try await LoadRun(configuration(.hot, port: port)).run()
            #expect(report.counter?.acknowledged == 2001)
            #expect(report.counter?.holds == false && !report.isSound)
        }
    }

    @Test func lostConnectionsAreCountedAndOpenedAnew() async throws {
        try await FakeRedis.with(.closesConnections) { port in
            let report = try await LoadRun(configuration(.a, port: port)).run()
            #expect(report.errors.map(\.name) == ["connection closed"])
            #expect(report.operations + report.errorCount == 2001 && report.isSound)
        }
    }

    @Test func refusalsAreCountedByName() async throws {
        try await FakeRedis.with(.refusesWrites) { port in
            let report = try await LoadRun(configuration(.put, port: port)).run()
            #expect(report.errors.map(\.name) == ["OOM"])
            #expect(report.refused.count == report.errorCount && report.answered.count == report.operations)
            #expect(report.operations + report.errorCount == 2001)
        }
    }

    @Test func aServerThatNeverAnswersIsUnreachable() async throws {
        try await FakeRedis.with(.answersNothing) { port in
            var mute = configuration(.a, port: port)
            mute.timeoutSeconds = 0.1
            let run = LoadRun(mute)
            await #expect(throws: LoadError.unreachable("no record was acknowledged: timeout")) {
                try await run.run()
            }
        }
    }

    @Test func nobodyThere() async throws {
        var free = 0
        try await FakeRedis.with(.none) { free = $0 }
        let configuration = configuration(.a, port: free)
        await #expect(throws: LoadError.self) { try await LoadRun(configuration).run() }
    }
}
