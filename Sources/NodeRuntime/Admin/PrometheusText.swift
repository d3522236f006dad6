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

    mutating func gauge(_ name: String, _ help: String, _ value: some BinaryInteger) {
        family(name, help, "gauge")
        text += "keystead_\(name) \(value)\n"
    }

    mutating func gauges(_ name: String, _ help: String, label: String, _ values: [(String, Int)]) {
        family(name, help, "gauge")
        for (labelValue, value) in values { text += "keystead_\(name){\(label)=\"\(labelValue)\"} \(value)\n" }
    }

    /// - Parameter buckets: upper bound in seconds and the count at or below it, ascending and cumulative.
    mutating func histogram(
        _ name: String, _ help: String, buckets: [(bound: Double, count: UInt64)], count: UInt64, sum: Double
    ) {
        family(name, help, "histogram")
        for bucket in buckets { text += "keystead_\(name)_bucket{le=\"\(bucket.bound)\"} \(bucket.count)\n" }
        text += "keystead_\(name)_bucket{le=\"+Inf\"} \(count)\n"
        text += "keystead_\(name)_sum \(sum)\nkeystead_\(name)_count \(count)\n"
    }

    private mutating func family(_ name: String, _ help: String, _ type: String) {
        text += "# HELP keystead_\(name) \(help)\n# TYPE keystead_\(name) \(type)\n"
    }
}
