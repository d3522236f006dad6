/// Metrics in the Prometheus text format, version 0.0.4. Every name begins with `keystead_`; no label holds a key, and
/// every label has few values.
struct PrometheusText {
    private(set) var text = ""

    mutating func counter(_ name: String, _ help: String, _ value: some BinaryInteger) {
        family(name, help, "counter")
        text += "keystead_\(name) \(value)\n"
    }

    mutating func counters(_ name: String, _ help: String, label: String, _ values: [(String, UInt64)]) {
        family(name, help, "counter")
        for (labelValue, value) in values { text += "keystead_\(name){\(label)=\"\(labelValue)\"} \(value)\n" }
    }

    mutating func counters(
        _ name: String, _ help: String, labels: (String, String), _ values: [(String, String, UInt64)]
    ) {
        family(name, help, "counter")
        for (first, second, value) in values {
            text += "keystead_\(name){\(labels.0)=\"\(first)\",\(labels.1)=\"\(second)\"} \(value)\n"
        }
    }

    mutating func gauge(_ name: String, _ help: String, _ value: some BinaryInteger) {
        family(name, help, "gauge")
        text += "keystead_\(name) \(value)\n"
    }

    mutating func gauges(_ name: String, _ help: String, label: String, _ values: [(String, Int)]) {
        family(name, help, "gauge")
        for (labelValue, value) in values { text += "keystead_\(name){\(label)=\"\(labelValue)\"} \(value)\n" }
    }

    /// - Parameters:
    ///   - upperEnds: of all classes but the last, ascending.
    ///   - counts: of each class without those below it; one more than there are ends.
    mutating func histogram(_ name: String, _ help: String, upperEnds: [Double], counts: [UInt64], sum: Double) {
        precondition(counts.count == upperEnds.count + 1, "the last class has no end")
        family(name, help, "histogram")
        var total: UInt64 = 0
        for (end, count) in zip(upperEnds, counts) {
            total += count
            text += "keystead_\(name)_bucket{le=\"\(end)\"} \(total)\n"
        }
        total += counts[upperEnds.count]
        text += "keystead_\(name)_bucket{le=\"+Inf\"} \(total)\n"
        text += "keystead_\(name)_sum \(sum)\nkeystead_\(name)_count \(total)\n"
    }

    private mutating func family(_ name: String, _ help: String, _ type: String) {
        text += "# HELP keystead_\(name) \(help)\n# TYPE keystead_\(name) \(type)\n"
    }
}
