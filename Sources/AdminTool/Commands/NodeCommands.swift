import ArgumentParser
import KeysteadClient

struct NodeCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node", abstract: "The nodes of the cluster.",
        subcommands: [
            NodeList.self, NodeCordon.self, NodeUncordon.self, NodeDrain.self, NodeRemove.self, NodeWeight.self,
        ])
}

struct NodeList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List the nodes.")

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withClient { client in
            let picture = try await client.cluster()
            try show(["nodes"], of: picture, table: nodeTable(picture.nodes), as: output.output)
        }
    }
}

/// The node that a verb is about.
struct NodeArgument: ParsableArguments {
    @Argument(help: "The node's id.")
    var id: String
}

struct NodeCordon: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cordon", abstract: "Let a node keep what it has and get nothing new.")

    @OptionGroup var node: NodeArgument
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withAdmin { client in
            let change = try await client.cordon(node: node.id)
            let condition = Postcondition.state(of: node.id, isNot: ["active", "joining", "unknown"])
            try await finish(change, node.id, condition, client, output.output)
        }
    }
}

struct NodeUncordon: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "uncordon", abstract: "Let a node get shards again; it also brings a drained node back.")

    @OptionGroup var node: NodeArgument
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withAdmin { client in
            let change = try await client.uncordon(node: node.id)
            let condition = Postcondition.state(of: node.id, is: ["active", "joining", "down"])
            try await finish(change, node.id, condition, client, output.output)
        }
    }
}

/// Reads the change back, and shows the node.
private func finish(
    _ change: NodeChange, _ id: String, _ condition: Postcondition, _ client: Keystead, _ format: OutputFormat
) async throws {
    try await condition.readBack(client, done: "it was done")
    let node = try await client.cluster().nodes.first { $0.id == id }
    let state = node?.state ?? "gone"
    Console.current.say("node \(id) is \(state)" + (change.changed ? "" : " already"))
    switch format {
    case .table: try Console.current.write(text: nodeTable(node.map { [$0] } ?? []))
    case .json: try Console.current.write(json: change.text.bytes)
    }
}

struct NodeDrain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Move every shard away from a node, while they serve.",
        discussion: "A drain that runs already is joined. `node uncordon` brings a drained node back.")

    @Flag(name: .long, help: "Only show what would move.")
    var dryRun = false

    @OptionGroup var node: NodeArgument
    @OptionGroup var waiting: WaitOptions
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func validate() throws {
        guard !dryRun || !waiting.wait else { throw ValidationError("--dry-run and --wait exclude each other") }
    }

    func run() async throws {
        try await connection.withAdmin { client in
            if dryRun {
                let plan = try await client.drainPlan(node: node.id)
                let command = Advice.cluster("node", "drain", node.id)
                return try await PlanText.of(plan, client, command: command).show(as: output.output)
            }
            let outcome = try await client.drain(node: node.id)
            try await waiting.follow.run(outcome, client, as: output.output) { _ in .isEmpty(node: node.id) }
        }
    }
}

struct NodeRemove: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "remove", abstract: "Take a node out of the cluster for good.",
        discussion: "Refused while it holds a shard: `node drain` comes first.")

    @Flag(name: .long, help: "Only say whether it can be removed.")
    var dryRun = false

    @OptionGroup var node: NodeArgument
    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func run() async throws {
        try await connection.withAdmin { client in
            if dryRun {
                try await client.checkRemoval(node: node.id)
                return try sayItCouldBe()
            }
            let outcome = try await client.remove(node: node.id)
            try await untilDone.run(outcome, client, as: output.output) { _ in .isGone(node: node.id) }
        }
    }

    private func sayItCouldBe() throws {
        switch output.output {
        case .table:
            try Console.current.write(line: "node \(node.id) can be removed: it holds no shard")
            try Console.current.write(line: "nothing has changed")
        case .json:
            var object = JSONObject()
            object.add("node", node.id)
            object.add("removable", true)
            try Console.current.write(json: object.bytes)
        }
    }
}

struct NodeWeight: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weight", abstract: "Give a node another share of the shards.",
        discussion: "Nothing moves by that: `rebalance plan` shows what would, and `rebalance commit` moves it.")

    @OptionGroup var node: NodeArgument

    @Argument(help: "Its share relative to the other nodes', 0 to 1000 with up to three decimals; 1 is usual.")
    var weight: String

    @OptionGroup var output: OutputOptions
    @OptionGroup var connection: Connection

    func validate() throws {
        let parts = weight.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let isDecimal = parts.allSatisfy { !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }
        guard isDecimal, parts.count < 2 || parts[1].utf8.count <= 3, let value = Double(weight), value <= 1000 else {
            throw ValidationError("'\(weight)' is no weight: a number from 0 to 1000 with up to three decimals")
        }
    }

    func run() async throws {
        try await connection.withAdmin { client in
            let outcome = try await client.setWeight(weight, ofNode: node.id)
            try await untilDone.run(outcome, client, as: output.output) { _ in
                .hasWeight(node: node.id, weight)
            }
            Console.current.say("nothing moves by that: \(Advice.cluster("rebalance", "plan")) shows what would")
        }
    }
}

extension Postcondition {
    /// A node that nobody knows is `unknown`.
    fileprivate static func state(of id: String, is states: Set<String>) -> Postcondition {
        .node(id) { node in
            let state = node?.state ?? "unknown"
            return states.contains(state) ? nil : "node \(id) is \(state)"
        }
    }

    fileprivate static func state(of id: String, isNot states: Set<String>) -> Postcondition {
        .node(id) { node in
            let state = node?.state ?? "unknown"
            return states.contains(state) ? "node \(id) is \(state)" : nil
        }
    }

    fileprivate static func hasWeight(node id: String, _ weight: String) -> Postcondition {
        .node(id) { node in
            let found = node?.weight ?? "unknown"
            return found == weight || Double(found) == Double(weight) ? nil : "the weight of node \(id) is \(found)"
        }
    }
}

/// For verbs that are done at once, or nearly so.
private let untilDone = OperationFollow(waits: true, timeout: nil, isInstant: true)

/// Nodes, a row each.
func nodeTable(_ nodes: [ClusterPicture.Node]) -> String {
    Format.table(
        ["NODE", "STATE", "ZONE", "WEIGHT", "SHARDS", "LISTEN", "ADMIN"],
        nodes.map { [$0.id, $0.state, $0.zone, $0.weight, String($0.shards), $0.listen, $0.admin] })
}
