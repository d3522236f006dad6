extension LoadReport {
    /// The report for a person: what was asked, what came of it, and what to make of it.
    public func table() -> String {
        var lines = [headline]
        lines.append(
            "\(DecimalText.grouped(operations)) operations in \(DecimalText.fixed(elapsedSeconds, places: 2)) s: "
                + "\(DecimalText.grouped(Int(operationsPerSecond.rounded()))) a second")
        lines.append("")
        lines += latencyLines
        lines.append("")
        lines += errorLines
        lines += verdictLines
        return lines.joined(separator: "\n")
    }

    private var headline: String {
        let pace = configuration.rate.map { "open loop at \(DecimalText.fixed($0, places: 0))/s" } ?? "closed loop"
        return "workload \(configuration.workload.rawValue) (\(configuration.dialect.name)): "
            + "\(DecimalText.grouped(configuration.recordsToLoad)) records of "
            + "\(DecimalText.grouped(configuration.valueBytes)) bytes, "
            + "\(configuration.connections) connections, \(pace)"
    }

    private var latencyLines: [String] {
        var rows = [["operation", "count", "mean", "p50", "p90", "p99", "p99.9", "max"]]
        let byDueTime = latencyByKind.count == 1 ? latencyByKind : [latency] + latencyByKind
        // What was refused, and in an open loop what was answered, from sending.
        let bySending = (configuration.rate == nil ? [] : [answered]) + (refused.count == 0 ? [] : [refused])
        for summary in byDueTime + bySending {
            let times = [summary.mean, summary.p50, summary.p90, summary.p99, summary.p999, summary.max]
            rows.append(
                [summary.name, DecimalText.grouped(summary.count)]
                    + times.map { DecimalText.duration(microseconds: $0) })
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            row.enumerated().map { column, cell in
                let padding = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + padding : padding + cell
            }.joined(separator: "  ")
        }
    }

    private var errorLines: [String] {
        var lines = errors.map { "errors: \(DecimalText.grouped($0.count)) × \($0.name)" }
        if errors.isEmpty { lines.append("errors: none") }
        if conflicts > 0 { lines.append("conflicts retried: \(DecimalText.grouped(conflicts))") }
        if backlog > 0 {
            lines.append("overloaded: \(DecimalText.grouped(backlog)) operations fell due and were never sent")
        }
        return lines
    }

    private var verdictLines: [String] {
        var lines: [String] = []
        if lengthsVerified > 0 {
            lines.append(
                "verified: \(DecimalText.grouped(lengthsVerified)) lengths, "
                    + "\(DecimalText.grouped(contentsVerified)) contents, \(DecimalText.grouped(wrongAnswers)) wrong")
        }
        if let counter {
            let after = counter.after.map { "\($0)" } ?? "unknown"
            lines.append(
                "counter: \(after) after \(counter.before.map { "\($0)" } ?? "unknown") and "
                    + "\(DecimalText.grouped(counter.acknowledged)) acknowledged: \(counter.holds ? "holds" : "WRONG")")
        }
        let share = DecimalText.fixed(busiestLoopShare * 100, places: 0)
        lines.append("generator: \(share) % of a core" + (isGeneratorBound ? ", generator-bound: not a result" : ""))
        if !isSound { lines.append("NOT SOUND: answers were wrong, so the numbers above are no result") }
        return lines
    }
}
