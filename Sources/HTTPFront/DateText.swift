internal import NIOCore
internal import Primitives

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
        let text = timestamp.rfc3339Bytes
        for index in text.indices { writeInteger(text[index]) }
    }

    private mutating func writeClock(_ time: CalendarTime) {
        writePadded(time.hour, digits: 2)
        writeInteger(UInt8(ascii: ":"))
        writePadded(time.minute, digits: 2)
        writeInteger(UInt8(ascii: ":"))
        writePadded(time.second, digits: 2)
    }
}
