internal import NIOCore
public import Primitives

/// A UTC date and time of day, from a count of seconds (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`, for years from 1970).
struct CalendarTime {
    let year: Int
    /// 1 to 12.
    let month: Int
    /// 1 to 31.
    let day: Int
    /// 0 is Sunday.
    let weekday: Int
    let hour: Int
    let minute: Int
    let second: Int

    init(secondsSince1970 seconds: UInt64) {
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

extension ByteBuffer {
    private static let weekdays: [7 of StaticString] = [
        "Sun, ", "Mon, ", "Tue, ", "Wed, ", "Thu, ", "Fri, ", "Sat, ",
    ]
    private static let months: [12 of StaticString] = [
        " Jan ", " Feb ", " Mar ", " Apr ", " May ", " Jun ", " Jul ", " Aug ", " Sep ", " Oct ", " Nov ", " Dec ",
    ]

    /// IMF-fixdate (RFC 9110 §5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
    mutating func writeFixdate(secondsSince1970 seconds: UInt64) {
        let time = CalendarTime(secondsSince1970: seconds)
        writeStaticString(Self.weekdays[time.weekday])
        writePadded(time.day, digits: 2)
        writeStaticString(Self.months[time.month - 1])
        writePadded(time.year, digits: 4)
        writeInteger(UInt8(ascii: " "))
        writeClock(time)
        writeStaticString(" GMT")
    }

    /// RFC 3339 in UTC with milliseconds: `1994-11-06T08:49:37.000Z`.
    mutating func writeRFC3339(_ timestamp: Timestamp) {
        let time = CalendarTime(secondsSince1970: timestamp.milliseconds / 1000)
        writePadded(time.year, digits: 4)
        writeInteger(UInt8(ascii: "-"))
        writePadded(time.month, digits: 2)
        writeInteger(UInt8(ascii: "-"))
        writePadded(time.day, digits: 2)
        writeInteger(UInt8(ascii: "T"))
        writeClock(time)
        writeInteger(UInt8(ascii: "."))
        writePadded(Int(timestamp.milliseconds % 1000), digits: 3)
        writeInteger(UInt8(ascii: "Z"))
    }

    private mutating func writeClock(_ time: CalendarTime) {
        writePadded(time.hour, digits: 2)
        writeInteger(UInt8(ascii: ":"))
        writePadded(time.minute, digits: 2)
        writeInteger(UInt8(ascii: ":"))
        writePadded(time.second, digits: 2)
    }
}

extension Timestamp {
    /// RFC 3339 in UTC with milliseconds, as answers show times.
    public var rfc3339: String {
        var buffer = ByteBuffer()
        buffer.writeRFC3339(self)
        return String(buffer: buffer)
    }
}
