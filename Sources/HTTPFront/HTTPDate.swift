internal import Primitives

/// HTTP-date in its three forms (RFC 9110 §5.6.7): IMF-fixdate, and the two of old software.
struct HTTPDate {
    /// Seconds since 1970; earlier times count as 0.
    let seconds: UInt64

    /// `nil` where the text is no date in any of the forms.
    ///
    /// - Parameter now: seconds since 1970, by which a year of two digits is understood.
    init?(_ text: [UInt8], now: UInt64) {
        var reader = DateReader(text: text)
        guard let seconds = reader.fixdate() ?? reader.obsoleteDate(now: now) ?? reader.asctime() else { return nil }
        self.seconds = UInt64(max(0, seconds))
    }
}

/// Reads one form after the other, each from the start.
private struct DateReader {
    let text: [UInt8]
    private var index = 0

    init(text: [UInt8]) { self.text = text }

    private static let weekdays: [StaticString] = [
        "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday",
    ]
    private static let months: [StaticString] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    mutating func fixdate() -> Int? {
        index = 0
        guard weekday(letters: 3), take(", "), let day = number(2), take(" "), let month = month(), take(" "),
            let year = number(4), take(" "), let time = timeOfDay(), take(" GMT"), index == text.count
        else { return nil }
        return seconds(year, month, day, time)
    }

    /// `Sunday, 06-Nov-94 08:49:37 GMT`: the latest year of those digits that is at most 50 years ahead.
    mutating func obsoleteDate(now: UInt64) -> Int? {
        index = 0
        guard weekday(letters: nil), take(", "), let day = number(2), take("-"), let month = month(), take("-"),
            let shortYear = number(2), take(" "), let time = timeOfDay(), take(" GMT"), index == text.count
        else { return nil }
        let century = CalendarTime(secondsSince1970: now).year / 100 * 100
        let dates = [century + 100, century, century - 100].map { seconds($0 + shortYear, month, day, time) }
        return dates.compactMap { $0 }.first { $0 <= Int(clamping: now) + Self.halfCentury }
    }

    /// In seconds.
    private static let halfCentury = 50 * 31_556_952

    /// `Sun Nov  6 08:49:37 1994`
    mutating func asctime() -> Int? {
        index = 0
        guard weekday(letters: 3), take(" "), let month = month(), take(" "),
            let day = take(" ") ? number(1) : number(2), take(" "), let time = timeOfDay(), take(" "),
            let year = number(4), index == text.count
        else { return nil }
        return seconds(year, month, day, time)
    }

    // MARK: Parts

    private mutating func take(_ expected: StaticString) -> Bool {
        let end = index + expected.utf8CodeUnitCount
        guard end <= text.count, text.span.equals(index..<end, expected) else { return false }
        index = end
        return true
    }

    /// - Parameter letters: how many of the name stand there; all of them where it is `nil`.
    private mutating func weekday(letters: Int?) -> Bool {
        for name in Self.weekdays {
            let count = letters ?? name.utf8CodeUnitCount
            guard index + count <= text.count else { continue }
            if (0..<count).allSatisfy({ text[index + $0] == name.utf8Start[$0] }) {
                index += count
                return true
            }
        }
        return false
    }

    private mutating func month() -> Int? {
        for (offset, name) in Self.months.enumerated() where take(name) { return offset + 1 }
        return nil
    }

    private mutating func number(_ digits: Int) -> Int? {
        guard index + digits <= text.count else { return nil }
        var value = 0
        for byte in text[index..<index + digits] {
            guard ByteClasses.isDigit(byte) else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        index += digits
        return value
    }

    /// Seconds since midnight. The last second of a day may be a leap second.
    private mutating func timeOfDay() -> Int? {
        guard let hour = number(2), take(":"), let minute = number(2), take(":"), let second = number(2), hour < 24,
            minute < 60, second <= 60
        else { return nil }
        return hour * 3600 + minute * 60 + second
    }

    /// `nil` where the month has no such day (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
    /// `days_from_civil`).
    private func seconds(_ year: Int, _ month: Int, _ day: Int, _ time: Int) -> Int? {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...lengths[month - 1]).contains(day) else { return nil }
        let yearFromMarch = month <= 2 ? year - 1 : year
        let era = (yearFromMarch >= 0 ? yearFromMarch : yearFromMarch - 399) / 400
        let yearOfEra = yearFromMarch - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return (era * 146_097 + dayOfEra - 719_468) * 86_400 + time
    }
}
