import KeysteadClient
import Primitives
import Testing

@Suite struct JSONTextTests {
    @Test(arguments: [
        "{}", "[]", " [ 1 , 2 ] ", "\"\"", "-0", "1.5e+10", "0.1E-2", "true", "false", "null", #"{"a":{"b":[{}]}}"#,
        #""\u00e9\n\/""#, "\t{\"a\"\r\n:1}",
    ])
    func soundTextIsTaken(text: String) { #expect(JSONText(Array(text.utf8)) != nil) }

    @Test(arguments: [
        "", " ", "{", "}", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "01", "1.", ".5", "+1", "-",
        "1e",
        "tru", "nul", "\"", "\"\n\"", #""\x""#, #""\u12""#, "1 2", "{} {}", "'a'", "NaN",
    ])
    func otherTextIsNot(text: String) { #expect(JSONText(Array(text.utf8)) == nil) }

    @Test func bytesMustBeUTF8() { #expect(JSONText([0x22, 0xFF, 0x22]) == nil) }

    @Test func nestingIsBounded() {
        func nested(_ depth: Int) -> [UInt8] {
            Array((String(repeating: "[", count: depth) + String(repeating: "]", count: depth)).utf8)
        }
        #expect(JSONText(nested(512)) != nil)
        #expect(JSONText(nested(513)) == nil)
        #expect(JSONText(nested(1_000_000)) == nil)
    }

    @Test func partsKeepTheirBytes() throws {
        let text = try #require(JSONText(Array(#"{ "n": 1.50 , "l":[ 1,"two" ,{}], "s":"aA" }"#.utf8)))
        #expect(text.member("n")?.numberText == "1.50")
        #expect(text.member("l")?.elements.map { String(decoding: $0.bytes, as: UTF8.self) } == ["1", "\"two\"", "{}"])
        #expect(text.member("s")?.string == "aA")
        #expect(text.member("x") == nil)
    }

    @Test func aNameThatStandsTwiceIsNobodys() throws {
        #expect(try #require(JSONText(Array(#"{"a":1,"\u0061":2}"#.utf8))).member("a") == nil)
    }

    @Test(arguments: [(#""\ud83d\ude00""#, "😀"), (#""a\tb\\""#, "a\tb\\"), (#""\u0000""#, "\0")])
    func escapesAreRead(text: String, plain: String) { #expect(JSONText(Array(text.utf8))?.string == plain) }

    @Test(arguments: [#""\ud83d""#, #""\ude00""#, #""\ud83dx""#, #""\ud83d\u0041""#])
    func halfASurrogatePairIsNoString(text: String) throws {
        #expect(try #require(JSONText(Array(text.utf8))).string == nil)
    }

    /// Whatever UTF-8 is written as a JSON string is read as the same bytes.
    @Test func stringsRoundTrip() throws {
        var random = SplitMix64(seed: 7)
        for _ in 0..<500 {
            let scalars = (0..<random.below(20)).compactMap { _ in
                Unicode.Scalar(UInt32(random.below(random.chance(1, in: 2) ? 128 : 0x11_0000)))
            }
            let text = String(String.UnicodeScalarView(scalars))
            var json: [UInt8] = []
            JSONString.append(text, to: &json)
            #expect(try #require(JSONText(json)).string.map { Array($0.utf8) } == Array(text.utf8))
        }
    }
}

@Suite struct LineSplitterTests {
    /// However the bytes come in, the lines are the same.
    @Test func piecesDoNotMatter() {
        let text = Array("one\n\ntwo\nthree: a long one\nlast".utf8)
        for size in 1...text.count {
            var splitter = LineSplitter(lineBytesMax: 10)
            var lines: [String] = []
            func take(_ step: LineSplitter.Step?) -> Bool {
                switch step {
                case .line(let line): lines.append(String(decoding: line, as: UTF8.self))
                case .tooLong: lines.append("TOO LONG")
                case .needsMore, nil: return false
                }
                return true
            }
            for start in stride(from: 0, to: text.count, by: size) {
                splitter.append(text[start..<min(start + size, text.count)])
                while take(splitter.next()) {}
            }
            _ = take(splitter.finish())
            #expect(lines == ["one", "", "two", "TOO LONG", "last"])
            #expect(!take(splitter.finish()))
            #expect(splitter.consumedBytes == UInt64(text.count))
        }
    }
}
