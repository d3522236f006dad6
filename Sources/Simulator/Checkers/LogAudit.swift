import LogCore
import LogFormat
import Primitives

/// Watches what the log does to its files: no segment goes while a shard's store has not flushed what it holds.
final class LogAudit {
    let world: World
    /// What each shard's store has on its platter.
    var flushed: (ShardID) -> Position = { _ in .zero }
    private(set) var recycled = 0

    init(world: World) { self.world = world }

    func will(_ step: LogStep, _ disk: VirtualDisk) {
        switch step {
        case .rename(.segment(let number), to: .spare), .delete(.segment(let number)):
            recycled += 1
            world.probes.reached(.segmentRecycled)
            for record in Self.records(of: .segment(number), disk) where record.header.type?.takesPosition == true {
                let shard = record.header.shard
                if record.header.position > flushed(shard) {
                    world.fail(
                        .recycledTooEarly,
                        "segment \(number) goes with position \(record.header.position) of shard \(shard), "
                            + "which has flushed \(flushed(shard))")
                    return
                }
            }
        default:
            return
        }
    }

    /// The records of a segment as it stands in the live image, up to its end or the next damage.
    static func records(of name: LogFileName, _ disk: VirtualDisk) -> [SegmentScanner.ScannedRecord] {
        guard let bytes = disk.contents(name.description), bytes.count >= LogLayout.headerBlockBytes,
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
