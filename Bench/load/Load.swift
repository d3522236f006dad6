public import ArgumentParser
import Glibc
public import LoadGenerator

/// The load generator on its own: what `keysteadctl bench` offers, and the other servers that it is compared with.
@main
struct Load: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load", abstract: "Puts a measured, verified load on a server.")

    enum Target: String, ExpressibleByArgument, CaseIterable {
        case keystead
        case redis
        case webdis
        case etcd
        case fixed
    }

    enum Output: String, ExpressibleByArgument, CaseIterable {
        case table
        case json
    }

    @Option(help: "Whom to speak to: keystead, redis, webdis, etcd, or fixed for one path of any HTTP server.")
    var dialect = Target.keystead

    @Option(help: "The path of the fixed dialect.")
    var path = "/"

    @Option(help: "The server's address.")
    var host = "127.0.0.1"

    @Option(help: "The server's port.")
    var port = 7070

    @Option(help: "a, b, c, d, f (YCSB), hot, put or get.")
    var workload = Workload.a

    @Option(help: "uniform, zipfian or latest (default: the workload's own).")
    var distribution: KeyDistribution?

    @Option(help: "How hot updates its entity: increment or put.")
    var hotUpdate = HotUpdate.increment

    @Option(help: "Entities that are written first and drawn from.")
    var records = 10_000

    @Option(help: "Bytes of each state.")
    var valueBytes = 1024

    @Option(help: "Connections, each with one request at a time.")
    var connections = 64

    @Option(help: "Event loops of the generator.")
    var loops = 1

    @Option(help: "Operations a second, sent on schedule (open loop). Without it each connection waits for its answer.")
    var rate: Double?

    @Option(help: "Ends after so many operations.")
    var operations: Int?

    @Option(help: "Ends after so many seconds (default 10).")
    var duration: Double?

    @Option(help: "Seconds of the same load before measuring.")
    var warmup = 0.0

    @Option(help: "Seed of keys and states.")
    var seed: UInt64 = 1

    @Option(help: "Kind of the entities, or prefix of the keys.")
    var kind = "bench"

    @Option(help: "One read in so many has its content compared.")
    var verifyEvery = 16

    @Flag(help: "The records are there already.")
    var skipLoad = false

    @Flag(help: "Only write the records, and report that.")
    var onlyLoad = false

    @Option(help: "table or json.")
    var output = Output.table

    @Flag(help: "Say each second how far it is, on stderr.")
    var progress = false

    func validate() throws {
        if operations != nil, duration != nil {
            throw ValidationError("--operations and --duration exclude each other")
        }
        do {
            try loadConfiguration.validate()
        } catch {
            throw ValidationError("\(error)")
        }
    }

    func run() async throws {
        let report = try await LoadRun(loadConfiguration, progress: progress ? Self.show : nil).run()
        print(output == .json ? report.json() : report.table())
        if !report.isSound { throw ExitCode(1) }
    }

    private var loadConfiguration: LoadConfiguration {
        var configuration = LoadConfiguration()
        configuration.host = host
        configuration.port = port
        configuration.dialect = target
        configuration.workload = workload
        configuration.distribution = distribution
        configuration.hotUpdate = hotUpdate
        configuration.records = records
        configuration.valueBytes = valueBytes
        configuration.connections = connections
        configuration.loops = loops
        configuration.rate = rate
        configuration.extent = operations.map { .operations($0) } ?? .seconds(duration ?? 10)
        configuration.warmupSeconds = warmup
        configuration.seed = seed
        configuration.kind = kind
        configuration.verifyEvery = verifyEvery
        configuration.loadsRecords = !skipLoad
        configuration.loadsOnly = onlyLoad
        return configuration
    }

    private var target: Dialect {
        switch dialect {
        case .keystead: .keystead
        case .redis: .redis
        case .webdis: .webdis
        case .etcd: .etcd
        case .fixed: .fixed(path: path)
        }
    }

    private static func show(_ progress: LoadProgress) {
        let line =
            "\(progress.stage.rawValue) \(Int(progress.elapsedSeconds)) s: \(progress.operations) operations, "
            + "\(Int(progress.operationsPerSecond))/s, \(progress.errors) errors\n"
        _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
    }
}

extension Workload: ExpressibleByArgument {}
extension KeyDistribution: ExpressibleByArgument {}
extension HotUpdate: ExpressibleByArgument {}
