import LogFiles
import LogFormat
import Primitives

/// Prints what an inspection of the log found.
struct WALReport {
    private let report: LogInspection.Report

    init(_ report: LogInspection.Report) { self.report = report }

    private var verdictText: String {
        switch report.verdict {
        case .sound: "sound: everything acknowledged can be read"
        case .tornTail: "torn tail: the next start cuts a group that was never acknowledged"
        case .damaged: "DAMAGED: acknowledged records cannot be read"
        case .unreadable: "UNREADABLE: a file cannot be read, or has a format that this version does not know"
        }
    }

    /// File names and headers are what stands on the disk.
    private func show(_ line: String) { print(VisibleText.escaped(line, .state)) }

    func printTable() {
        show("verdict\t\(verdictText)")
        show("durable-lsn\t\(report.durableLSN)")
        for segment in report.segments {
            let end = segment.isClosedCleanly ? "closed cleanly" : segment.isSealed ? "sealed" : "open"
            let last = segment.lastLSN.map { "last-lsn \($0)" } ?? "empty"
            show("segment\t\(segment.file)\t\(segment.records) records\t\(last)\t\(segment.storedBytes) bytes\t\(end)")
            if let problem = segment.headerProblem { show("  header\t\(problem)") }
            for damage in segment.damage { show("  damage\t\(text(damage))") }
            if let torn = segment.tornTail, !torn.isBlank { show("  torn tail\t\(text(torn))") }
        }
        for number in report.missingSegments { show("segment\t\(number) is MISSING") }
        for shard in report.shards {
            let positions = "positions \(shard.first.position) to \(shard.last.position)"
            let mark = shard.isQuarantined ? "\tQUARANTINED" : ""
            show("shard\t\(shard.shard)\t\(shard.records) records\t\(positions)\(mark)")
            if shard.damagedRecords > 0 { show("  damaged records\t\(shard.damagedRecords)") }
            for hole in shard.holes {
                show("  hole\tpositions \(hole.positions.lowerBound) to \(hole.positions.upperBound) in \(hole.file)")
            }
        }
    }

    private func text(_ damage: SegmentScanner.Damage) -> String {
        let shard = damage.header.map { ", shard \($0.shard) position \($0.position)" } ?? ""
        let last = damage.lastLSN.map { " to \($0)" } ?? " on"
        return "offset \(damage.offset), \(damage.byteCount) bytes, lsn \(damage.firstLSN)\(last)\(shard)"
    }

    func printJSON() {
        let segments = report.segments.map { segment in
            """
            {"segment":"\(segment.file)","records":\(segment.records),"stored-bytes":\(segment.storedBytes),\
            "sealed":\(segment.isSealed),"clean":\(segment.isClosedCleanly),"damage":\(segment.damage.count)}
            """
        }
        let shards = report.shards.map { shard in
            """
            {"shard":\(shard.shard),"records":\(shard.records),"first":\(shard.first.position),\
            "last":\(shard.last.position),"damaged":\(shard.damagedRecords),"holes":\(shard.holes.count),\
            "quarantined":\(shard.isQuarantined)}
            """
        }
        print(
            """
            {"verdict":"\(report.verdict)","durable-lsn":\(report.durableLSN),\
            "segments":[\(segments.joined(separator: ","))],"shards":[\(shards.joined(separator: ","))],\
            "missing-segments":[\(report.missingSegments.map(String.init).joined(separator: ","))]}
            """)
    }
}
