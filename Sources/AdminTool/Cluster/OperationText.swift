import KeysteadClient

/// Operations as people read them. Pure.
enum OperationText {
    /// `op-32, drain of n2`.
    static func name(_ operation: OperationDetail) -> String {
        Format.printable(operation.id + ", " + operation.kind + (operation.node.map { " of \($0)" } ?? ""))
    }

    /// `3 of 8 shards`.
    static func count(_ operation: OperationDetail) -> String {
        "\(Format.count(operation.done)) of \(Format.count(operation.total)) shards"
    }

    /// `1.2 GiB of 3.0 GiB`; `nil` where nothing is to be copied.
    static func bytes(_ operation: OperationDetail) -> String? {
        operation.bytesTotal == 0
            ? nil : "\(Format.bytes(operation.bytesDone)) of \(Format.bytes(operation.bytesTotal))"
    }

    static func rate(_ bytesPerSecond: UInt64) -> String { "\(Format.bytes(bytesPerSecond))/s" }

    /// What its moves copy together, as the nodes measured it; `nil` where none says.
    static func measuredRate(_ operation: OperationDetail) -> UInt64? {
        // A move that has just begun has measured nothing yet.
        let rates = operation.moves.compactMap(\.bytesPerSecond).filter { $0 > 0 }
        return rates.isEmpty ? nil : rates.reduce(0, +)
    }

    /// As the cluster reckons it, else by what is left and how fast it goes.
    static func timeLeft(_ operation: OperationDetail, rate: UInt64?) -> String? {
        if let seconds = operation.secondsLeft { return Format.time(.seconds(Int64(clamping: seconds))) }
        guard let rate, rate > 0, operation.bytesTotal > operation.bytesDone else { return nil }
        return Format.time(.seconds(Int64(clamping: (operation.bytesTotal - operation.bytesDone) / rate)))
    }

    /// How much of it is done, 0 to 1: by bytes where it copies some, as shards differ in size.
    static func fraction(_ operation: OperationDetail) -> Double {
        if operation.state == "done" { return 1 }
        let (done, total) =
            operation.bytesTotal > 0
            ? (operation.bytesDone, operation.bytesTotal) : (operation.done, operation.total)
        return total == 0 ? 0 : Double(min(done, total)) / Double(total)
    }

    /// What it waits for, else what it is about.
    static func note(_ operation: OperationDetail) -> String? {
        if !operation.waitsFor.isEmpty { return "waits: " + operation.waitsFor.joined(separator: "; ") }
        if operation.state == "paused" { return "paused" }
        return operation.moves.first { $0.state != "waiting" && $0.state != "done" }.map(way)
    }

    /// `shard 17 n1 -> n3 catch-up, 1,204 behind, waits: …`.
    static func way(_ move: OperationDetail.Move) -> String {
        var text = "shard \(move.shard) \(move.from ?? "-") -> \(move.to ?? "-") \(move.state)"
        if let lag = move.lag { text += ", \(Format.count(lag)) behind" }
        if let wait = move.waitsFor { text += ", waits: \(wait)" }
        return text
    }

    /// How far it is, in one line for a log: `op-32, drain of n2: 3 of 8 shards, 1.2 GiB of 3.0 GiB, …`.
    static func line(_ operation: OperationDetail, rate: UInt64?) -> String {
        var parts = [count(operation)]
        if let bytes = bytes(operation) { parts.append(bytes) }
        if let rate { parts.append(Self.rate(rate)) }
        if let left = timeLeft(operation, rate: rate) { parts.append("ETA \(left)") }
        if let note = note(operation) { parts.append(note) }
        return "\(name(operation)): \(Format.printable(parts.joined(separator: ", ")))"
    }

    /// The same as a bar, no wider than `columns`: `op-32 [===>   ]  44%  3 of 8 shards  …`.
    static func bar(_ operation: OperationDetail, rate: UInt64?, columns: Int, barWidth: Int = 20) -> String {
        let fraction = fraction(operation)
        var parts = [
            "\(Format.printable(operation.id)) \(ProgressPicture.bar(fraction, width: barWidth))", count(operation),
        ]
        // What a narrow terminal cuts off comes last.
        parts.append("ETA \(timeLeft(operation, rate: rate) ?? "-:--")")
        if let rate { parts.append(Self.rate(rate)) }
        if let bytes = bytes(operation) { parts.append(bytes) }
        if let note = note(operation) { parts.append(Format.printable(note)) }
        let text = parts.joined(separator: "  ")
        return text.count < columns ? text : String(text.prefix(max(0, columns - 2))) + "…"
    }

    /// The operation in full, with a row for each move.
    static func describe(_ operation: OperationDetail) -> String {
        var lines = ["\(name(operation)): \(operation.state), \(count(operation))"]
        if let bytes = bytes(operation) {
            var copied = "copied \(bytes)"
            let rate = measuredRate(operation)
            if let rate, !operation.isOver { copied += " at \(Self.rate(rate))" }
            let limit = operation.bytesPerSecondMax
            copied += limit == 0 ? ", without a limit" : ", at most \(Self.rate(limit))"
            if !operation.isOver, let left = timeLeft(operation, rate: rate) { copied += ", ETA \(left)" }
            lines.append(copied)
        }
        lines += operation.waitsFor.map { "waits: \($0)" }
        if !operation.detail.isEmpty { lines.append(operation.detail) }
        if let plan = operation.plan { lines.append("carries out plan \(plan)") }
        for name in ["created", "finished"] {
            if let time = operation.text.member(name)?.plainText { lines.append("\(name) \(time)") }
        }
        let head = lines.map { Format.printable($0) + "\n" }.joined()
        return operation.moves.isEmpty ? head : head + "\n" + moveTable(operation.moves)
    }

    private static func moveTable(_ moves: [OperationDetail.Move]) -> String {
        Format.table(
            ["SHARD", "FROM", "TO", "STATE", "COPIED", "RATE", "BEHIND", "WAITS FOR"],
            moves.map { move in
                let copied = move.bytesDone.map { done in
                    Format.bytes(done) + (move.bytesTotal.map { " of \(Format.bytes($0))" } ?? "")
                }
                return [
                    String(move.shard), move.from ?? "-", move.to ?? "-", move.state, copied ?? "-",
                    move.bytesPerSecond.map(rate) ?? "-", move.lag.map(Format.count) ?? "-", move.waitsFor ?? "",
                ]
            })
    }

    /// How a command ends whose operation came to an end that is not the one asked for.
    static func failure(_ operation: OperationDetail) -> CommandFailure {
        let why = operation.detail.isEmpty ? "" : ": \(operation.detail)"
        return CommandFailure(
            operation.state == "cancelled" ? .conflict : .failed,
            "\(name(operation)), \(Format.printable(operation.state + why))")
    }

    /// Operations, a row each.
    static func table(_ operations: [ClusterPicture.Operation]) -> String {
        Format.table(
            ["OPERATION", "KIND", "STATE", "DONE", "TOTAL"],
            operations.map { [$0.id, $0.kind, $0.state, Format.count($0.done), Format.count($0.total)] })
    }
}

/// Prints an operation: to people in full, as JSON the server's own document.
func show(_ operation: OperationDetail, as format: OutputFormat) throws {
    switch format {
    case .table: try Console.current.write(text: OperationText.describe(operation))
    case .json: try Console.current.write(json: operation.text.bytes)
    }
}
