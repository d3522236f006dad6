import Logging
import NIOConcurrencyHelpers
import Primitives

/// What an operator hears of the node's clocks: at the start, and whenever they come apart or agree again.
final class ClockReport: Sendable {
    private let time: NodeTime
    private let logger: Logger
    private let watch = NIOLockedValueBox(ClockGapWatch())

    init(time: NodeTime, logger: Logger) {
        self.time = time
        self.logger = logger
    }

    /// Looks at the clocks, and says what is new. To be called every second.
    func look() {
        let gap = time.gap()
        guard let news = watch.withLockedValue({ $0.look(gap) }) else { return }
        let times: Logger.Metadata = ["wall-clock": "\(NodeTime.wall().rfc3339)", "data-time": "\(time.now().rfc3339)"]
        switch news {
        case .none: logger.notice("the wall clock and the data's time agree again", metadata: times)
        case .wallAhead, .wallBehind: logger.warning("\(news.sentence)", metadata: times)
        }
    }

    /// Whether the node may start by the wall clock, beside the newest time of its data; says what is worth it.
    ///
    /// - Parameter accepted: the operator says that the clock is right.
    static func judgeStart(newest: Timestamp, accepted: Bool, _ logger: Logger) throws(NodeStartError) {
        let wall = NodeTime.wall()
        let times: Logger.Metadata = ["wall-clock": "\(wall.rfc3339)", "newest-data": "\(newest.rfc3339)"]
        switch ClockAtStart(wall: wall, newest: newest) {
        case .plausible:
            break
        case .ahead(let gap):
            logger.notice("the newest data is \(duration(gap)) old", metadata: times)
        case .implausible(let gap) where accepted:
            logger.warning(
                "the newest data is \(duration(gap)) old, and the clock is accepted (accept-clock)", metadata: times)
        case .implausible(let gap):
            throw NodeStartError(
                "the clock says \(wall.rfc3339), and the newest data is of \(newest.rfc3339), \(duration(gap)) before: "
                    + "by a wrong clock, what has a time to live would be lost. Set the clock, or start with "
                    + "--accept-clock if it is right",
                isRefusal: true)
        case .behind(let gap):
            logger.warning(
                "the clock is \(duration(gap)) behind the newest data: the node goes on from the data's time",
                metadata: times)
        }
    }

    /// In the two largest units that say something, of which the first is not zero: `400 days 2 h`.
    static func duration(_ milliseconds: UInt64) -> String {
        let seconds = milliseconds / 1000
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60)
        if days > 0 { return hours > 0 ? "\(days) days \(hours) h" : "\(days) days" }
        if hours > 0 { return minutes > 0 ? "\(hours) h \(minutes) min" : "\(hours) h" }
        return "\(minutes) min \(seconds % 60) s"
    }
}

extension ClockGap {
    /// What it means to whoever runs the node.
    var sentence: String {
        switch self {
        case .none:
            "the wall clock and the data's time agree"
        case .wallAhead(let gap):
            "the wall clock is \(ClockReport.duration(gap)) ahead of the data's time, by which entities expire: where "
                + "the wall clock is right, a restart takes it over"
        case .wallBehind(let gap):
            "the wall clock is \(ClockReport.duration(gap)) behind the data's time, by which entities expire: the data "
                + "was written under a clock that was ahead, or the wall clock was set back"
        }
    }

    /// Milliseconds that the wall clock is ahead; below zero where it is behind, and zero within a minute.
    var milliseconds: Int64 {
        switch self {
        case .none: 0
        case .wallAhead(let gap): Int64(clamping: gap)
        case .wallBehind(let gap): -Int64(clamping: gap)
        }
    }
}
