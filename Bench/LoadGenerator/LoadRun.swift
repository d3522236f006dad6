import NIOCore
import NIOPosix

/// How far a run is, once a second.
public struct LoadProgress: Sendable {
    public enum Stage: String, Sendable {
        case loading
        case warmup
        case measuring
    }

    public let stage: Stage
    /// Since the stage began.
    public let elapsedSeconds: Double
    /// Completed in this stage so far, and within the last second or so.
    public let operations: Int
    public let operationsPerSecond: Double
    public let errors: Int
    /// 0 to 1; `nil` where the end is not known.
    public let fraction: Double?
}

/// One run of a workload against one server: connects, writes the records, warms up, measures, and reports.
///
///     let report = try await LoadRun(configuration).run()
///     print(report.table())
public struct LoadRun: Sendable {
    private let configuration: LoadConfiguration
    private let progress: (@Sendable (LoadProgress) -> Void)?

    /// `progress` is called about once a second, from no thread in particular.
    public init(_ configuration: LoadConfiguration, progress: (@Sendable (LoadProgress) -> Void)? = nil) {
        self.configuration = configuration
        self.progress = progress
    }

    /// Runs to the end. Errors of single operations are counted in the report; only what leaves no run to report about
    /// is thrown, as a `LoadError`. Nothing is left running or open, whichever way it ends.
    public func run() async throws -> LoadReport {
        try configuration.validate()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: configuration.loops)
        do {
            let report = try await measure(group)
            try await group.shutdownGracefully()
            return report
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
    }

    private func measure(_ group: MultiThreadedEventLoopGroup) async throws -> LoadReport {
        let crew = try await Crew(loops: Array(group.makeIterator()), configuration: configuration, progress: progress)
        do {
            let report = try await crew.run()
            try await crew.close()
            return report
        } catch {
            try await crew.close()
            throw error
        }
    }
}
