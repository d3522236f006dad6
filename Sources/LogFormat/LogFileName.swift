internal import Primitives

/// The files of a log directory. Numbers are 16 hexadecimal digits, so names sort as their numbers do.
///
/// ```
/// 0000000000000007.wal               segment 7: its header was synced before the file got this name
/// 0000000000000007.wal.torn          copy of segment 7 as recovery found it, before its torn tail was given up
/// 0000000000000007.wal.quarantined   segment 7, damaged below the durable LSN, out of use and kept as evidence
/// 0000000000000003.spare             ready to become a segment: full length, every block written
/// 0000000000000003.filling           a spare in the making; removed when the log is opened
/// ```
public enum LogFileName: Hashable, Sendable, CustomStringConvertible {
    case segment(UInt64)
    case torn(UInt64)
    case quarantined(UInt64)
    case spare(UInt64)
    case filling(UInt64)

    public var number: UInt64 {
        switch self {
        case .segment(let number), .torn(let number), .quarantined(let number), .spare(let number),
            .filling(let number):
            number
        }
    }

    private var suffix: String {
        switch self {
        case .segment: ".wal"
        case .torn: ".wal.torn"
        case .quarantined: ".wal.quarantined"
        case .spare: ".spare"
        case .filling: ".filling"
        }
    }

    /// The name in the directory.
    public var description: String { Self.hexadecimal(number) + suffix }

    /// `nil` for a name that is none of the log's.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count > 16, let number = UInt64(text.prefix(16), radix: 16),
            number <= Limits.counterMax
        else { return nil }
        let kinds: [LogFileName] = [
            .segment(number), .torn(number), .quarantined(number), .spare(number), .filling(number),
        ]
        guard let name = kinds.first(where: { $0.description == text }) else { return nil }
        self = name
    }

    static func hexadecimal(_ value: UInt64) -> String {
        let digits = (0..<16).map { place in
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(60 - 4 * place)) & 15
            return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
        }
        return String(decoding: digits, as: UTF8.self)
    }
}
