import Entities
import Foundation
import NodeRuntime
import Testing

/// Tables of documents say what the code says. One after the other, since they can write one file.
@Suite(.serialized) struct TableTests {
    /// Every setting, in the order of `--help`.
    @Test func settings() throws {
        try Handbook.holdTable("settings", of: Handbook.operations) { _ in
            let rows = Setting.all.map { setting in
                let value = setting.defaultText.isEmpty ? "" : "`\(setting.defaultText)`"
                return "| `\(setting.name)` | \(value) | \(setting.help) |"
            }
            return ["| setting | default | meaning |", "| --- | --- | --- |"] + rows
        }
    }

    /// The rows name bounds of `Limits`; their values come from there.
    @Test func limits() throws {
        let limits = try LimitTexts(Handbook.text(of: "Sources/Primitives/Limits.swift"))
        try Handbook.holdTable("limits", of: Handbook.operations) { rows in
            try rows.enumerated().map { index, row in
                guard index > 1 else { return row }
                let cells = Handbook.cells(of: row)
                let name = cells[0].filter { $0 != "`" }
                let value = try #require(limits.text(of: name), "Limits has no \(name)")
                return "| `\(name)` | \(value) | \(cells[2]) |"
            }
        }
    }

    @Test func everyProblemIsInTheContract() throws {
        let rows = try Handbook.lines(of: Handbook.contract).filter { $0.hasPrefix("|") }.map(Handbook.cells)
        for code in ProblemCode.allCases {
            let row = rows.first { $0.first == "\(code.status)" && $0.count == 3 && $0[1].contains("`\(code.name)`") }
            #expect(row?[2].contains("\(code.retry.name)") == true, "\(code.name)")
        }
    }

    /// Every metric has a row, and every row is of a metric.
    @Test func metrics() throws {
        let rows = try Handbook.lines(of: Handbook.operations).filter { $0.hasPrefix("| `keystead_") }
        let named = rows.flatMap { row in
            Handbook.cells(of: row)[0].split(whereSeparator: { !$0.isLetter && $0 != "_" }).map(String.init)
                .filter { $0.hasPrefix("keystead_") }
        }
        let told = try MetricNames.all()
        #expect(told.count > 40)
        #expect(Set(named).subtracting(told).sorted() == [], "no metric has this name")
        #expect(told.subtracting(named).sorted() == [], "no row tells of this metric")
    }
}

/// The names that the node gives its metrics, read from its code.
enum MetricNames {
    static func all() throws -> Set<String> {
        var found: Set<String> = []
        let folder = "Sources/NodeRuntime/Admin"
        let path = Handbook.root.appendingPathComponent(folder).path
        for file in try FileManager.default.contentsOfDirectory(atPath: path) where file.hasSuffix(".swift") {
            for piece in try Handbook.text(of: "\(folder)/\(file)").components(separatedBy: "text.").dropFirst() {
                let call = piece.prefix { $0 != "(" }
                guard ["counter", "counters", "gauge", "gauges", "histogram"].contains(call) else { continue }
                let argument = piece.dropFirst(call.count + 1).drop { $0.isWhitespace }
                guard argument.first == "\"" else { continue }
                found.insert("keystead_" + argument.dropFirst().prefix { $0 != "\"" })
            }
        }
        return found
    }
}

/// The bounds of `Limits.swift`, read as text: names, and values for people.
struct LimitTexts {
    private var values: [String: Int] = [:]

    init(_ source: String) throws {
        for line in source.components(separatedBy: "\n") {
            let parts = line.trimmingCharacters(in: .whitespaces).components(separatedBy: " = ")
            guard parts.count == 2, parts[0].hasPrefix("public static let ") else { continue }
            let name = parts[0].dropFirst("public static let ".count).prefix { $0 != ":" }
            let value: Int = try #require(Sum.value(of: parts[1], known: values), "\(name) is '\(parts[1])'")
            values[String(name)] = value
        }
    }

    /// With its unit, as the name's end tells it.
    func text(of name: String) -> String? {
        guard let value = values[name] else { return nil }
        if name.contains("Bytes") {
            for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where value >= size {
                if value % size == 0 { return "\(value / size) \(unit)" }
            }
            return "\(value) B"
        }
        if name.contains("Milliseconds") { return "\(value) ms" }
        guard name.contains("Seconds") else { return "\(value)" }
        for (unit, size) in [("d", 86_400), ("h", 3600)] where value >= size && value % size == 0 {
            return "\(value / size) \(unit)"
        }
        return "\(value) s"
    }

    /// Whole numbers and names of bounds with `+`, `-`, `*`, `<<` and parentheses.
    private struct Sum {
        private var tokens: [String]
        private let known: [String: Int]

        static func value(of text: String, known: [String: Int]) -> Int? {
            let spaced = text.replacing("(", with: " ( ").replacing(")", with: " ) ")
            var sum = Sum(tokens: spaced.split(separator: " ").map(String.init).reversed(), known: known)
            let value = sum.sum()
            return sum.tokens.isEmpty ? value : nil
        }

        private mutating func sum() -> Int? { chain(["+", "-"]) { $0.product() } }

        private mutating func product() -> Int? { chain(["*"]) { $0.shift() } }

        private mutating func shift() -> Int? { chain(["<<"]) { $0.atom() } }

        private mutating func chain(_ signs: [String], _ part: (inout Sum) -> Int?) -> Int? {
            guard var left = part(&self) else { return nil }
            while let sign = tokens.last, signs.contains(sign) {
                tokens.removeLast()
                guard let right = part(&self) else { return nil }
                switch sign {
                case "+": left += right
                case "-": left -= right
                case "*": left *= right
                case "<<": left <<= right
                default: return nil
                }
            }
            return left
        }

        private mutating func atom() -> Int? {
            guard let token = tokens.popLast() else { return nil }
            guard token == "(" else { return Int(token.replacing("_", with: "")) ?? known[token] }
            let inner = sum()
            return tokens.popLast() == ")" ? inner : nil
        }
    }
}
