import ArgumentParser
import Foundation
import LoadGenerator

/// Starts a node, gives it a well-behaved caller at half of its load, and sends a swarm of hostile clients beside it.
/// Ends with 1 where the caller, or the node's memory, descriptors or threads, suffer from the swarm.
@main
struct Hostile: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hostile",
        abstract: "Sends hostile clients to a node of its own, and measures what a well-behaved caller notices.")

    @Option(help: "The server program (default: keystead beside this program).")
    var program =
        URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent().path
        + "/keystead"

    @Option(help: "Where the node keeps its data; removed at the end.")
    var work = "/var/tmp"

    @Option(help: "Hostile connections, each on a thread of its own.")
    var connections = 200

    @Option(help: "Seconds of the swarm.")
    var seconds = 1800.0

    @Option(help: "Seconds that the caller is measured alone, before the swarm.")
    var aloneSeconds = 10.0

    @Option(help: "Mean pause of a hostile client between two attacks, in milliseconds.")
    var pace = 2000

    @Option(help: "The node's --memory, in MiB.")
    var memory = 128

    @Option(help: "Connections of the well-behaved caller.")
    var callers = 16

    @Option(help: "Operations a second of the caller (default: half of what the node reaches).")
    var rate: Double?

    @Option(help: "Only these attacks, by name, separated by commas.")
    var only: String?

    @Option(help: "Seed of the attacks.")
    var seed: UInt64 = 1

    @Flag(help: "Judge only the node's bounds and that answers are right; print what the caller met.")
    var onlyBounds = false

    func validate() throws {
        guard (1...4096).contains(connections) else { throw ValidationError("--connections is 1 to 4096") }
        guard (5...86_400).contains(seconds), (1...3600).contains(aloneSeconds) else {
            throw ValidationError("--seconds is 5 to 86400, --alone-seconds 1 to 3600")
        }
        guard (0...60_000).contains(pace) else { throw ValidationError("--pace is 0 to 60000 milliseconds") }
        _ = try attacks()
    }

    func run() async throws {
        let victim = try Victim(program: program, work: work, memoryMebibytes: memory)
        defer { victim.remove() }
        try victim.start()
        var judge = Judge(memoryMebibytes: memory)
        do {
            try await measure(victim, &judge)
        } catch {
            say(victim.lastWords)
            throw error
        }
        judge.expect("the node ends with 0 within 30 s of SIGTERM", victim.stop(within: 30) == 0)
        if !judge.holds { say(victim.lastWords) }
        print(judge.report)
        if !judge.holds { throw ExitCode(1) }
    }

    private func measure(_ victim: Victim, _ judge: inout Judge) async throws {
        try Prey.load(into: victim.ports)
        var closed = caller(victim)
        closed.extent = .seconds(min(5, aloneSeconds))
        closed.loadsRecords = true
        let peak = try await LoadRun(closed).run().operationsPerSecond
        var open = caller(victim)
        open.rate = rate ?? max(1, peak / 2)
        open.extent = .seconds(aloneSeconds)
        let alone = try await LoadRun(open).run()
        say("alone: " + alone.oneLine)
        let before = try victim.vitals()

        let swarm = Swarm(
            victim: Target(ports: victim.ports, identity: try victim.identity()), attacks: try attacks(),
            connections: connections, paceMilliseconds: pace, seed: seed)
        let watch = Watch(victim)
        swarm.begin()
        watch.begin()
        open.extent = .seconds(seconds)
        let beside = try await LoadRun(open).run()
        let samples = watch.end()
        swarm.end()
        say("beside the swarm: " + beside.oneLine)
        say(swarm.summary)

        try await Task.sleep(for: .seconds(5))
        judge.compare(alone: alone, beside: beside, judgesCaller: !onlyBounds)
        judge.compare(samples, before: before, after: try victim.vitals())
        judge.expect("the node is ready after the swarm", victim.isReady)
    }

    private func caller(_ victim: Victim) -> LoadConfiguration {
        var configuration = LoadConfiguration()
        configuration.port = Int(victim.ports.client)
        configuration.workload = .a
        configuration.connections = callers
        configuration.loadsRecords = false
        return configuration
    }

    private func attacks() throws -> [Attack] {
        guard let only else { return Attack.allCases }
        return try only.split(separator: ",").map { name in
            guard let attack = Attack(rawValue: String(name)) else {
                let known = Attack.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("there is no attack \(name); there are \(known)")
            }
            return attack
        }
    }
}

func say(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
}

extension LoadReport {
    var oneLine: String {
        let failed = errors.map { "\($0.name) x \($0.count)" }.joined(separator: ", ")
        return "\(operations) operations, \(Int(operationsPerSecond))/s, p50 \(Int(latency.p50)) us, "
            + "p99 \(Int(latency.p99)) us, max \(Int(latency.max)) us, backlog \(backlog), "
            + "errors: \(failed.isEmpty ? "none" : failed)"
    }
}
