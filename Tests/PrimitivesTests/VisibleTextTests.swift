import Primitives
import Testing

@Suite struct VisibleTextTests {
    @Test(arguments: [
        ("plain ASCII ~", "plain ASCII ~"), ("é 日本 🚀 Ж ½", "é 日本 🚀 Ж ½"), ("a\\b", "a\\b"),
        ("\u{0}\u{1B}[2J\u{7F}", "\\u{0}\\u{1b}[2J\\u{7f}"), ("\u{80}\u{9B}\u{9F}", "\\u{80}\\u{9b}\\u{9f}"),
        (
            "\u{202A}\u{202E}\u{2066}\u{2069}\u{200E}\u{200F}\u{61C}",
            "\\u{202a}\\u{202e}\\u{2066}\\u{2069}\\u{200e}\\u{200f}\\u{61c}"
        ),
        (
            "\u{200B}\u{200D}\u{2060}\u{FEFF}\u{AD}\u{34F}\u{3164}",
            "\\u{200b}\\u{200d}\\u{2060}\\u{feff}\\u{ad}\\u{34f}\\u{3164}"
        ),
        ("a\u{FE0F}b\u{E0100}c\u{E0041}", "a\\u{fe0f}b\\u{e0100}c\\u{e0041}"),
        ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
        ("\u{E000}\u{378}\u{FFFF}", "\\u{e000}\\u{378}\\u{ffff}"), ("a\nb\tc\r", "a\\u{a}b\\u{9}c\\u{d}"),
    ])
    func hiddenCharactersAreShown(text: String, shown: String) {
        #expect(VisibleText.escaped(text).utf8.elementsEqual(shown.utf8))
        #expect(VisibleText.escaped(shown) == shown)
    }

    @Test func layoutsKeepTheirOwn() {
        #expect(VisibleText.escaped("a\n\t\r", .lines) == "a\n\\u{9}\\u{d}")
        #expect(VisibleText.escaped("a\n\t\r", .state) == "a\n\t\\u{d}")
    }

    @Test func bytesThatAreNoTextAreShown() {
        let bytes: [UInt8] = [0x41, 0x9B, 0xFF, 0xC2, 0x9B, 0xE2, 0x82, 0x0A, 0xC3, 0xA9]
        let shown = VisibleText.escaped(bytes[...], .state)
        #expect(String(decoding: shown, as: UTF8.self) == "A\\x9b\\xff\\u{9b}\\xe2\\x82\né")
    }

    @Test func marksAreBounded() {
        let mark = "\u{301}"
        func shown(_ text: String) -> Int {
            VisibleText.escaped(text).unicodeScalars.count { $0 == "\u{301}" }
        }
        #expect(shown("a" + String(repeating: mark, count: Limits.marksInRowMax)) == Limits.marksInRowMax)
        #expect(shown("a" + String(repeating: mark, count: 1000)) <= Limits.marksInRowMax)
        // Without a letter of its own it would join what the text is put behind.
        #expect(shown(mark + "a") == 0)
        #expect(shown("\u{1B}\(mark)") == 0)
    }

    @Test func longTextIsCut() {
        #expect(VisibleText.escaped("ééééé", bytesMax: 5) == "éé… (6 bytes more)")
        #expect(VisibleText.escaped("ééééé", bytesMax: 10) == "ééééé")
    }

    @Test func jsonSaysTheSame() {
        let json = "{\"a\u{7F}\u{9B}\" :\n\t\"\u{202E}\u{E0041}é\"}"
        let shown = String(decoding: VisibleText.json(json.utf8), as: UTF8.self)
        #expect(shown == "{\"a\\u007f\\u009b\" :\n\t\"\\u202e\\udb40\\udc41é\"}")
        #expect(VisibleText.jsonString("a\"\\\n\u{1}\u{2028}") == #""a\"\\\n\u0001\u2028""#)
    }

    /// Every character by itself: what is left shows, on one line.
    @Test func nothingHiddenIsLeft() {
        for value in UInt32(0)...0x3FFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let shown = VisibleText.escaped("a\(Character(scalar))")
            #expect(!shown.unicodeScalars.contains(where: VisibleText.isHidden))
        }
    }
}
