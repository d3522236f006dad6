internal import NIOCore
internal import Primitives

/// When the deadlines of one connection come (Contract §1.11). Plain notes of times, written as things happen and
/// looked at only when the connection's timer comes.
struct ConnectionClocks {
    /// Since when nothing at all has happened.
    private var quietSince: NIODeadline
    private var headSince: NIODeadline?
    private var bodyWindow: BodyWindow?
    private var lingersSince: NIODeadline?

    private var bytesWritten = 0
    private var bytesTakenByPeer = 0
    private var stalledSince: NIODeadline?
    /// When the connection's timer came last.
    private var lastTick: NIODeadline

    private struct BodyWindow {
        var start: NIODeadline
        var bytes = 0
    }

    /// A body must bring this much in every stretch of `Limits.bodyGraceSeconds`.
    private static let bodyWindowBytesMin = Limits.bodyBytesPerSecondMin * Int(Limits.bodyGraceSeconds)

    init(now: NIODeadline) {
        quietSince = now
        lastTick = now
    }

    // MARK: What happens

    mutating func touch(_ now: NIODeadline) { quietSince = now }

    /// A head has begun to come (its deadline counts from its first byte), or is complete (`nil`).
    mutating func waitsForHead(_ since: NIODeadline?) {
        if since == nil { headSince = nil } else if headSince == nil { headSince = since }
    }

    mutating func bodyBegins(_ now: NIODeadline) { bodyWindow = BodyWindow(start: now) }

    mutating func bodyReceived(_ count: Int) { bodyWindow?.bytes += count }

    mutating func bodyEnds() { bodyWindow = nil }

    /// The client cannot be blamed for a body that we do not read, or answers that we still owe: its time starts again.
    mutating func excuseBody(_ now: NIODeadline) {
        if bodyWindow != nil { bodyWindow = BodyWindow(start: now) }
    }

    mutating func lingers(_ now: NIODeadline) { lingersSince = now }

    mutating func wrote(_ count: Int) { bytesWritten += count }

    /// The connection's timer has come, as it does every few seconds. Where it is late by more than that, the loop or
    /// the whole process has slept, and that time is not the client's.
    mutating func ticked(_ now: NIODeadline) {
        let tick = TimeAmount.seconds(Int64(FrontLimits.tickSecondsMax))
        let late = now - (lastTick + tick)
        lastTick = now
        guard late > tick else { return }
        quietSince = quietSince + late
        headSince = headSince.map { $0 + late }
        lingersSince = lingersSince.map { $0 + late }
        stalledSince = stalledSince.map { $0 + late }
        bodyWindow?.start = now
    }

    // MARK: What is due

    /// Looks at how much of what was written the socket still holds.
    mutating func looked(atUnsentBytes unsent: Int, _ now: NIODeadline) {
        let taken = bytesWritten - unsent
        if unsent == 0 {
            stalledSince = nil
        } else if stalledSince == nil || taken > bytesTakenByPeer {
            stalledSince = now
        }
        bytesTakenByPeer = taken
    }

    var stallDeadline: NIODeadline? { stalledSince.map { $0 + .seconds(Int64(Limits.responseStallSecondsMax)) } }
    var headDeadline: NIODeadline? { headSince.map { $0 + .seconds(Int64(Limits.headerSecondsMax)) } }
    var bodyDeadline: NIODeadline? { bodyWindow.map { $0.start + .seconds(Int64(Limits.bodyGraceSeconds)) } }
    var lingerDeadline: NIODeadline? { lingersSince.map { $0 + .seconds(Int64(FrontLimits.lingerSecondsMax)) } }
    var idleDeadline: NIODeadline { quietSince + .seconds(Int64(Limits.idleSecondsMax)) }

    var bodyIsTooSlow: Bool { bodyWindow.map { $0.bytes < Self.bodyWindowBytesMin } ?? false }
}
