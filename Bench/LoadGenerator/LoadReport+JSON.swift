extension LoadReport {
    /// The report for a machine: one JSON object on one line. Latencies are microseconds, shares are of one core.
    public func json() -> String {
        var object = JSONText()
        object.open("{")
        object.member("workload", configuration.workload.rawValue)
        object.member("dialect", configuration.dialect.name)
        object.member("distribution", configuration.keyDistribution.rawValue)
        object.member("records", configuration.recordsToLoad)
        object.member("value-bytes", configuration.valueBytes)
        object.member("connections", configuration.connections)
        object.member("loops", configuration.loops)
        object.member("rate", configuration.rate)
        object.member("seed", String(configuration.seed))
        object.member("elapsed-seconds", elapsedSeconds)
        object.member("operations", operations)
        object.member("operations-per-second", operationsPerSecond)
        object.member("errors", errorCount)
        writeErrors(&object)
        object.member("conflicts", conflicts)
        object.member("backlog", backlog)
        object.member("lengths-verified", lengthsVerified)
        object.member("contents-verified", contentsVerified)
        object.member("wrong-answers", wrongAnswers)
        writeCounter(&object)
        object.member("sound", isSound)
        object.member("generator-cpu-share", cpuShare)
        object.member("generator-busiest-loop-share", busiestLoopShare)
        object.member("generator-bound", isGeneratorBound)
        object.array("per-second", perSecond) { $0.value($1) }
        object.array("kept", [answered, refused]) { Self.write($1, into: &$0) }
        object.array("latency", [latency] + latencyByKind) { Self.write($1, into: &$0) }
        object.close("}")
        return object.text
    }

    private func writeErrors(_ object: inout JSONText) {
        object.array("errors-by-kind", errors) { text, error in
            text.open("{")
            text.member("kind", error.name)
            text.member("count", error.count)
            text.close("}")
        }
    }

    private func writeCounter(_ object: inout JSONText) {
        guard let counter else { return }
        object.name("counter")
        object.open("{")
        object.member("before", counter.before.map(Double.init))
        object.member("after", counter.after.map(Double.init))
        object.member("acknowledged", counter.acknowledged)
        object.member("uncertain", counter.uncertain)
        object.member("holds", counter.holds)
        object.close("}")
    }

    private static func write(_ summary: LatencySummary, into text: inout JSONText) {
        text.open("{")
        text.member("operation", summary.name)
        text.member("count", summary.count)
        text.member("mean", summary.mean)
        text.member("p50", summary.p50)
        text.member("p90", summary.p90)
        text.member("p99", summary.p99)
        text.member("p99.9", summary.p999)
        text.member("max", summary.max)
        text.array("curve", summary.curve) { text, point in
            text.open("[")
            text.value(point.percentile)
            text.value(point.microseconds)
            text.close("]")
        }
        text.close("}")
    }
}

/// Builds one JSON text piece by piece; whoever calls it keeps the brackets in balance.
struct JSONText {
    private(set) var text = ""
    private var needsComma = false

    mutating func open(_ bracket: Character) {
        separate()
        text.append(bracket)
        needsComma = false
    }

    mutating func close(_ bracket: Character) {
        text.append(bracket)
        needsComma = true
    }

    mutating func name(_ name: String) {
        separate()
        text += Self.quoted(name) + ":"
        needsComma = false
    }

    mutating func value(_ value: Int) { put("\(value)") }

    /// Six significant places behind the point are kept; what is no number is null.
    mutating func value(_ value: Double?) {
        guard let value, value.isFinite else { return put("null") }
        if let whole = Int(exactly: value) { return put("\(whole)") }
        put("\((value * 1e6).rounded() / 1e6)")
    }

    mutating func member(_ name: String, _ value: String) {
        self.name(name)
        put(Self.quoted(value))
    }

    mutating func member(_ name: String, _ value: Int) {
        self.name(name)
        self.value(value)
    }

    mutating func member(_ name: String, _ value: Double?) {
        self.name(name)
        self.value(value)
    }

    mutating func member(_ name: String, _ value: Bool) {
        self.name(name)
        put(value ? "true" : "false")
    }

    mutating func array<Element>(_ name: String, _ elements: [Element], _ write: (inout JSONText, Element) -> Void) {
        self.name(name)
        open("[")
        for element in elements { write(&self, element) }
        close("]")
    }

    private mutating func put(_ value: String) {
        separate()
        text += value
        needsComma = true
    }

    private mutating func separate() {
        if needsComma { text.append(",") }
        needsComma = false
    }

    private static func quoted(_ value: String) -> String {
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\u{0}"..<" ":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
