import KeysteadClient

/// How fast a plan would go.
enum CopyRate: Equatable {
    /// The limit that operations are made with.
    case throttled(UInt64)
    /// There is no limit; an operation that runs was measured.
    case measured(UInt64)
    /// There is no limit, and nothing has been measured.
    case unknown

    var bytesPerSecond: UInt64? {
        switch self {
        case .throttled(let rate), .measured(let rate): rate
        case .unknown: nil
        }
    }

    /// Asks for the limit, else for what those of the operations that run are measured at.
    static func find(_ client: Keystead, among operations: [ClusterPicture.Operation]) async throws -> CopyRate {
        let limit = try await client.throttle()
        guard limit == 0 else { return .throttled(limit) }
        for operation in operations where operation.state == "running" {
            let detail = try await client.operation(operation.id)
            if let rate = OperationText.measuredRate(detail), rate > 0 { return .measured(rate) }
        }
        return .unknown
    }
}

/// A plan as people read it. Pure.
struct PlanText {
    let plan: PlanDetail
    let rate: CopyRate
    /// Operations that are not over. A plan begins where they will have ended.
    let underWay: [ClusterPicture.Operation]
    /// The command that carries it out; `nil` where it is about to be carried out.
    let command: String?

    /// Asks for what a plan's text says besides the plan: what is under way, and how fast copying goes.
    static func of(_ plan: PlanDetail, _ client: Keystead, command: String?) async throws -> PlanText {
        let underWay = try await client.cluster().operations.filter { ["running", "paused"].contains($0.state) }
        let rate = try await CopyRate.find(client, among: underWay)
        return PlanText(plan: plan, rate: rate, underWay: underWay, command: command)
    }

    /// How long the copying takes at the rate; `nil` where that is unknown.
    var seconds: UInt64? {
        guard plan.byteCount > 0 else { return 0 }
        return rate.bytesPerSecond.map { plan.byteCount / $0 + (plan.byteCount % $0 == 0 ? 0 : 1) }
    }

    var text: String {
        var text = "plan \(Format.printable(plan.plan)) against map revision \(plan.mapRevision)\n"
        guard !plan.moves.isEmpty else { return text + "nothing to move\(besides)\nnothing has changed\n" }
        text += "\n" + moveTable
        if !plan.quotas.isEmpty { text += "\n" + quotaTable }
        let noun = plan.moves.count == 1 ? "move" : "moves"
        text += "\n\(plan.moves.count) \(noun), \(Format.bytes(plan.byteCount)); lower bound \(plan.lowerBound)"
        text += "\(besides)\n\(duration)\n"
        guard let command else { return text }
        return text + "nothing has changed; to carry it out: \(Format.printable(command))\n"
    }

    private var besides: String {
        underWay.map {
            let what = "\($0.id) (\($0.kind), \($0.done) of \($0.total) done)"
            return "\nbesides what \(Format.printable(what)) moves already"
        }.joined()
    }

    private var duration: String {
        let time = Format.time(.seconds(Int64(clamping: seconds ?? 0)))
        switch rate {
        case .throttled(let rate): return "about \(time) at the throttle of \(OperationText.rate(rate))"
        case .measured(let rate): return "about \(time) at the \(OperationText.rate(rate)) of what runs"
        case .unknown: return "time: unknown, as there is no throttle and nothing runs that could be measured"
        }
    }

    private var moveTable: String {
        Format.table(
            ["SHARD", "FROM", "TO", "BYTES"],
            plan.moves.map { [String($0.shard), $0.from ?? "-", $0.to ?? "-", Format.bytes($0.byteCount)] })
    }

    private var quotaTable: String {
        Format.table(
            ["NODE", "SHARDS", "AFTER", "CHANGE"],
            plan.quotas.map { quota in
                let change = Int64(clamping: quota.after) - Int64(clamping: quota.shards)
                let sign = change > 0 ? "+" : ""
                return [quota.node, String(quota.shards), String(quota.after), "\(sign)\(change)"]
            })
    }

    /// The server's own document and the time that the copying takes.
    var json: [UInt8] {
        var object = JSONObject()
        for (name, value) in plan.text.members {
            if let name = name.string { object.add(name, raw: value.bytes) }
        }
        if let seconds { object.add("estimated-seconds", seconds) } else { object.add("estimated-seconds", nil) }
        return object.bytes
    }

    func show(as format: OutputFormat) throws {
        switch format {
        case .table: try Console.current.write(text: text)
        case .json: try Console.current.write(json: json)
        }
    }
}
