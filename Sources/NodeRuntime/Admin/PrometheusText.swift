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

    private mutating func family(_ name: String, _ help: String, _ type: String) {
        text += "# HELP keystead_\(name) \(help)\n# TYPE keystead_\(name) \(type)\n"
    }
}
