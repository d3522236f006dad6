import Primitives

/// Numbers, sizes, times and rows as people read them.
enum Format {
    /// `1234567` as `1,234,567`.
    static func count(_ value: UInt64) -> String {
        let digits = Array(String(value).utf8)
        var text: [UInt8] = []
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(UInt8(ascii: ",")) }
            text.append(digit)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Bytes in binary units, with one decimal from KiB up.
    static func bytes(_ value: UInt64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var scaled = Double(value)
        var unit = 0
        while scaled >= 1024, unit < units.count - 1 {
            scaled /= 1024
            unit += 1
        }
        return unit == 0 ? "\(value) B" : "\(oneDecimal(scaled)) \(units[unit])"
    }

    /// Whole seconds as `m:ss` or `h:mm:ss`.
    static func time(_ duration: Duration) -> String {
        let seconds = max(0, duration.components.seconds)
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, twoDigits(seconds % 60))
        return hours > 0 ? "\(hours):\(twoDigits(minutes)):\(rest)" : "\(minutes):\(rest)"
    }

    /// Items a second, rounded down; 0 before any time has passed.
    static func rate(_ items: UInt64, in elapsed: Duration) -> UInt64 {
        let seconds = elapsed / .seconds(1)
        return seconds > 0 ? UInt64(Double(items) / seconds) : 0
    }

    private static func oneDecimal(_ value: Double) -> String {
        let tenths = UInt64((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func twoDigits(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }

    /// A value as it may stand in a sentence or a table: on one line, and everything in it plainly visible.
    static func printable(_ text: String) -> String { VisibleText.escaped(text) }

    /// A line that is narrower than `columns`.
    static func cut(_ line: String, to columns: Int) -> String {
        line.count < columns ? line : String(line.prefix(max(0, columns - 2))) + "…"
    }

    /// Without blanks at the end.
    static func trimmed(_ line: String) -> String {
        let end = line.utf8.lastIndex { $0 != 0x20 }
        return end.map { String(line[...$0]) } ?? ""
    }

    /// Rows under headings, in columns as wide as their widest cell as it is shown; lines end without blanks.
    static func table(_ headings: [String], _ rows: [[String]]) -> String {
        let cells = ([headings] + rows).map { $0.map(printable) }
        // What stands last needs no room to its right, however long it is.
        let widths = headings.indices.dropLast().map { column in cells.map { $0[column].count }.max() ?? 0 } + [0]
        return cells.map { row in
            let line = zip(row, widths).map { cell, width in
                cell + String(repeating: " ", count: max(0, width - cell.count))
            }
            return trimmed(line.joined(separator: "  ")) + "\n"
        }.joined()
    }
}
