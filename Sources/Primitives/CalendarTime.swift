/// A UTC date and time of day, from a count of seconds (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`, for years from 1970).
public struct CalendarTime {
    public let year: Int
    /// 1 to 12.
    public let month: Int
    /// 1 to 31.
    public let day: Int
    /// 0 is Sunday.
    public let weekday: Int
    public let hour: Int
    public let minute: Int
    public let second: Int

    public init(secondsSince1970 seconds: UInt64) {
        // Beyond the year 9999 the formats have no room; such a time is shown as the last one they can.
        let seconds = Int(min(seconds, 253_402_300_799))
        let days = seconds / 86_400
        let time = seconds % 86_400
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        weekday = (days + 4) % 7
        hour = time / 3600
        minute = time / 60 % 60
        second = time % 60
    }
}

extension Timestamp {
    /// RFC 3339 in UTC with milliseconds, as answers show times: `1994-11-06T08:49:37.000Z`.
    public var rfc3339: String {
        let text = rfc3339Bytes
        return String(decoding: text.indices.map { text[$0] }, as: UTF8.self)
    }

    /// The same in ASCII.
    public var rfc3339Bytes: [24 of UInt8] {
        let time = CalendarTime(secondsSince1970: milliseconds / 1000)
        var text = [24 of UInt8](repeating: UInt8(ascii: "-"))
        Self.write(time.year, digits: 4, at: 0, &text)
        Self.write(time.month, digits: 2, at: 5, &text)
        Self.write(time.day, digits: 2, at: 8, &text)
        text[10] = UInt8(ascii: "T")
        Self.write(time.hour, digits: 2, at: 11, &text)
        text[13] = UInt8(ascii: ":")
        Self.write(time.minute, digits: 2, at: 14, &text)
        text[16] = UInt8(ascii: ":")
        Self.write(time.second, digits: 2, at: 17, &text)
        text[19] = UInt8(ascii: ".")
        Self.write(Int(milliseconds % 1000), digits: 3, at: 20, &text)
        text[23] = UInt8(ascii: "Z")
        return text
    }

    private static func write(_ value: Int, digits: Int, at start: Int, _ text: inout [24 of UInt8]) {
        var rest = value
        for index in stride(from: start + digits - 1, through: start, by: -1) {
            text[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
    }
}
