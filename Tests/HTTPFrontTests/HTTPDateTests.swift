import NIOCore
import Testing

@testable import HTTPFront

/// HTTP-date in its three forms (RFC 9110 §5.6.7).
@Suite struct HTTPDateTests {
    private func seconds(_ text: String, now: UInt64 = FrontChannel.wallSeconds) -> UInt64? {
        HTTPDate(Array(text.utf8), now: now)?.seconds
    }

    @Test(
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Thu, 01 Jan 1970 00:00:01 GMT", 1), ("Wed, 31 Dec 1969 23:59:59 GMT", 0),
            ("Mon, 01 Jan 0001 00:00:00 GMT", 0),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600), ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            ("Wed Dec 31 23:59:60 2008", 1_230_768_000), ("Fri Nov 11 08:49:37 1994", 784_543_777),
            ("Saturday, 01-Jan-44 00:00:00 GMT", 2_335_219_200), ("Tuesday, 01-Jan-46 00:00:00 GMT", 0),
            ("Thursday, 01-Jan-70 00:00:05 GMT", 5),
        ] as [(String, UInt64)])
    func datesAreRead(text: String, expected: UInt64) { #expect(seconds(text) == expected) }

    /// Two digits of a year are of the century that makes them no more than fifty years ahead.
    @Test func shortYearsFollowTheClock() {
        let text = "Friday, 01-Jan-10 00:00:00 GMT"
        #expect(seconds(text, now: 1_600_000_000) == 1_262_304_000)
        #expect(seconds(text, now: 4_000_000_000) == 4_417_977_600)
    }

    @Test(arguments: [
        "", "0", "784111777", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Abc 1994 08:49:37 GMT", "Sun 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT", "Sun, 06-Nov-94 08:49:37 GMT", "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT", "Sun Nov 06 08:49:37", "1994-11-06T08:49:37Z",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
    ])
    func othersAreNone(text: String) { #expect(seconds(text) == nil) }

    /// What answers show is read back.
    @Test func itReadsWhatIsWritten() {
        for time in stride(from: UInt64(0), to: 253_402_300_799, by: 86_399 * 977) {
            var buffer = ByteBuffer()
            buffer.writeFixdate(secondsSince1970: time)
            #expect(seconds(String(buffer: buffer)) == time)
        }
    }
}
