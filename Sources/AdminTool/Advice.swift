import Synchronization

/// Commands that messages name, as they would have to be typed here: with the addresses that this command was given.
enum Advice {
    /// `--admin` and `--endpoint` as this command was given them; nothing of what the environment says.
    struct Flags: Sendable {
        var admin: [String] = []
        var endpoint: [String] = []
    }

    @TaskLocal static var flags = Flags()

    /// A command about the cluster: `keysteadctl op wait op-7 --admin http://…`.
    static func cluster(_ words: String...) -> String { text(words, "--admin", flags.admin) }

    /// A command about entities.
    static func data(_ words: String...) -> String { text(words, "--endpoint", flags.endpoint) }

    private static func text(_ words: [String], _ flag: String, _ urls: [String]) -> String {
        (["keysteadctl"] + words + urls.flatMap { [flag, $0] }).map(quoted).joined(separator: " ")
    }

    /// As a shell takes it.
    static func quoted(_ word: String) -> String {
        let isPlain =
            !word.isEmpty
            && word.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: "."),
                    UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "@"), UInt8(ascii: "%"), UInt8(ascii: ","):
                    true
                default: false
                }
            }
        guard !isPlain else { return word }
        let inside = word.map { $0 == "'" ? #"'\''"# : String($0) }.joined()
        return "'\(inside)'"
    }
}

/// Says that something is waited for: at once, and again while it lasts, but not at every attempt.
final class WaitNotice: Sendable {
    private static let interval = Duration.seconds(10)

    private let console = Console.current
    private let clock = ContinuousClock()
    private let last = Mutex<ContinuousClock.Instant?>(nil)

    func say(_ message: String) {
        let now = clock.now
        let isDue = last.withLock { last in
            if let last, now - last < Self.interval { return false }
            last = now
            return true
        }
        if isDue { console.say(message) }
    }
}
