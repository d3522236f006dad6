/// Numbers as text, without Foundation.
enum DecimalText {
    /// `value` with exactly `places` digits behind the point, rounded to nearest.
    static func fixed(_ value: Double, places: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "-" }
        var scale = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = Int((abs(value) * Double(scale)).rounded())
        let sign = value < 0 && scaled > 0 ? "-" : ""
        guard places > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % scale)
        return sign + "\(scaled / scale)." + String(repeating: "0", count: places - fraction.count) + fraction
    }

    /// Thousands apart by a comma.
    static func grouped(_ value: Int) -> String {
        let digits = Array(String(abs(value)))
        var text = value < 0 ? "-" : ""
        for (place, digit) in digits.enumerated() {
            if place > 0, (digits.count - place) % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return text
    }

    /// A time in the unit that suits it.
    static func duration(microseconds: Double) -> String {
        switch microseconds {
        case ..<1000: "\(fixed(microseconds, places: 0)) µs"
        case ..<1_000_000: "\(fixed(microseconds / 1000, places: 2)) ms"
        default: "\(fixed(microseconds / 1_000_000, places: 2)) s"
        }
    }
}
