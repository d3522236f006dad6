import LogCore
import LogFormat
import Primitives

/// Watches what the log does to its files: no segment goes while a shard's store has not flushed what it holds.
final class LogAudit {
    let world: World
    /// What each shard's store has on its platter.
    var flushed: (ShardID) -> Position = { _ in .zero }
    /// What each shard has committed; records beyond it were given up with a torn tail.
    var committed: (ShardID) -> Position = { _ in .zero }

    init(world: World) { self.world = world }

    func will(_ step: LogStep, _ disk: VirtualDisk) {
        switch step {
        case .rename(.segment(let number), to: .spare), .delete(.segment(let number)):
            world.probes.reached(.segmentRecycled)
            let needed = Self.records(of: .segment(number), disk).map(\.header).filter {
                $0.type?.takesPosition == true && $0.position > flushed($0.shard) && $0.position <= committed($0.shard)
            }
            for header in needed where !isElsewhere(header, than: number, disk) {
                return world.fail(
                    .recycledTooEarly,
                    "segment \(number) goes with position \(header.position) of shard \(header.shard), "
                        + "which has flushed \(flushed(header.shard))")
            }
        default:
            return
        }
    }

    /// Recovery writes the end of a log again into a new segment: the old copies are needed no more.
    private func isElsewhere(_ header: RecordHeader, than number: UInt64, _ disk: VirtualDisk) -> Bool {
        disk.list().contains { file in
            guard case .segment(let other)? = LogFileName(file.name), other > number else { return false }
            return Self.records(of: .segment(other), disk).contains {
                $0.header.shard == header.shard && $0.header.position == header.position
                    && $0.header.type == header.type
            }
        }
    }

    /// The records of a segment as it stands in the live image, up to its end or the next damage.
    static func records(of name: LogFileName, _ disk: VirtualDisk) -> [SegmentScanner.ScannedRecord] {
        records(in: disk.contents(name.description))
    }

    static func records(in bytes: [UInt8]?) -> [SegmentScanner.ScannedRecord] {
        guard let bytes, bytes.count >= LogLayout.headerBlockBytes,
            let header = try? SegmentHeader.decode(Array(bytes[..<LogLayout.headerBlockBytes]))
        else { return [] }
        var scanner = SegmentScanner(bytes: bytes, header: header, endLSN: nil)
        var records: [SegmentScanner.ScannedRecord] = []
        while let item = scanner.next() {
            if case .record(let record) = item { records.append(record) }
        }
        return records
    }
}
