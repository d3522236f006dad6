import ArgumentParser
import KeysteadClient
import LoadGenerator

struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Put a measured, verified load on a node, and report throughput and latency.",
        discussion: """
            First the records are written as entities of the kind 'bench', then the workload runs: a, b, c, d and f \
            are YCSB's, hot updates one entity, put and get do only that. Without --rate each connection asks again \
            when it is answered; with it operations are sent on schedule, and latency counts from when each was due, \
            so that a stalled server cannot hide its stall. A run in which an answer was wrong ends with 1.
            """)

    @Option(name: .long, help: "What is asked of the server.")
    var workload = Choice(Workload.a)

    @Option(name: .long, help: ArgumentHelp("Entities written first and drawn from.", valueName: "n"))
    var records = 10_000

    @Option(name: .long, help: ArgumentHelp("Bytes of each state.", valueName: "n"))
    var valueBytes = 1024

    @Option(name: .long, help: ArgumentHelp("End after so many operations.", valueName: "n"))
    var operations: Int?

    @Option(
        name: .long, help: ArgumentHelp("End after so many seconds; 10 unless --operations is given.", valueName: "s"))
    var duration: Double?

    @Option(name: .long, help: ArgumentHelp("Connections, each with one request at a time.", valueName: "n"))
    var connections = 64

    @Option(name: .long, help: ArgumentHelp("Operations a second over all connections.", valueName: "r"))
    var rate: Double?

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func validate() throws {
        guard operations == nil || duration == nil else {
            throw ValidationError("--operations and --duration exclude each other")
        }
        do throws(LoadError) {
            try load(host: "127.0.0.1", port: 7070).validate()
        } catch {
            throw ValidationError("--\(error)")
        }
    }

    func run() async throws {
        let endpoint = try connection.firstEndpoint()
        guard endpoint.scheme == "http", let host = endpoint.host else {
            throw CommandFailure(.usage, "bench needs an endpoint like http://HOST:PORT")
        }
        // A node that hangs is told of before a load is put on it.
        try await connection.withClient { _ = try await $0.clusterID(deadline: Console.current.patience) }
        let stages = StageBar(console: Console.current)
        let report: LoadReport
        do {
            report = try await LoadRun(load(host: host, port: endpoint.port ?? 80)) { stages.show($0) }.run()
            stages.clear()
        } catch let error as LoadError {
            stages.clear()
            throw CommandFailure(exit(for: error), "\(error)")
        }
        switch output.output {
        case .json: try Console.current.write(json: report.json().utf8)
        case .table: try Console.current.write(text: report.table() + "\n")
        }
        guard report.isSound else { throw CommandFailure(.failed, "answers were wrong: this run is no result") }
        guard report.operations > 0 else { throw CommandFailure(.failed, "no operation succeeded") }
    }

    private func load(host: String, port: Int) -> LoadConfiguration {
        var configuration = LoadConfiguration()
        configuration.host = host
        configuration.port = port
        configuration.workload = workload.value
        configuration.records = records
        configuration.valueBytes = valueBytes
        configuration.connections = connections
        configuration.rate = rate
        configuration.extent = operations.map { .operations($0) } ?? .seconds(duration ?? 10)
        return configuration
    }

    private func exit(for error: LoadError) -> CommandExit {
        switch error {
        case .badOption: .usage
        case .unreachable: .unreachable
        case .loadFailed: .failed
        }
    }
}

/// How far a benchmark is, once a second, where bars may be drawn.
private final class StageBar: Sendable {
    private let console: Console

    init(console: Console) { self.console = console }

    func show(_ progress: LoadProgress) {
        guard console.drawsBars else { return }
        let percent = progress.fraction.map { "\(Int(min(max($0, 0), 1) * 100))%  " } ?? ""
        let rate = Format.count(UInt64(max(0, progress.operationsPerSecond)))
        let errors = progress.errors > 0 ? "  \(progress.errors) errors" : ""
        console.bar("\(progress.stage.rawValue)  \(percent)\(rate)/s\(errors)")
    }

    func clear() { console.clearBar() }
}
