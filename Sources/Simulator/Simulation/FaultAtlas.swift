import LogFormat
import Primitives

/// Places rot where the design promises to notice it. A single node has one copy, so damage to what was acknowledged
/// must be detected and the shards refused. The node starts on the damaged disk, is held to that, and ends; then the
/// disk is put back as it was before the damage, as from a good image.
///
/// A record that nothing later vouches for (no record after it says that it was durable) looks like a torn tail when it
/// rots; that window is the design's known limit and is left alone.
final class FaultAtlas {
    private let world: World
    private let audit: Audit
    private var random: SplitMix64
    private var image: VirtualDisk.Image?

    init(world: World, audit: Audit, random: SplitMix64) {
        self.world = world
        self.audit = audit
        self.random = random
    }

    /// The node is down: perhaps something rots.
    func afterCrash(_ node: Node, _ faults: FaultSet) {
        let strikes = random.chance(1, in: 3)
        let misdirected = random.chance(1, in: 2)
        let fault = misdirected ? Fault.misdirectedWrite : .bitFlip
        guard strikes, image == nil, faults.contains(fault), let victim = victim(node.disk) else { return }
        world.faults.draw(fault)
        guard let bytes = node.disk.contents(victim.name) else { return }
        let before = Array(bytes[victim.sector])
        var after = before
        var shards = Set((0..<UInt32(audit.log.shardCount)).map { ShardID($0) })
        if misdirected {
            after = otherSector(node.disk, like: before.count)
        } else {
            let byte = random.below(after.count)
            after[byte] ^= 1 << UInt8(random.below(8))
            // A payload's damage costs its own shard alone; a header's may hide anything.
            let place = victim.sector.lowerBound + byte
            if let hit = victim.records.first(where: { $0.stored.contains(place) }), hit.header.type == .effect {
                shards = [hit.header.shard]
            }
        }
        guard after != before else { return }
        world.faults.took(fault)
        image = node.disk.image
        node.disk.replace(victim.name, at: victim.sector.lowerBound, with: after)
        audit.damagedShards = shards
        world.trace.note(world.now, .fault, UInt64(victim.sector.lowerBound)) {
            "atlas: \(fault.name) in \(victim.name) at \(victim.sector), shards \(shards.map(\.rawValue).sorted())"
        }
    }

    /// Puts the disk back as it was before the damage. False: there is none.
    @discardableResult
    func undo(_ disk: VirtualDisk) -> Bool {
        guard let image else { return false }
        disk.image = image
        self.image = nil
        audit.damagedShards = []
        return true
    }

    private struct Victim {
        let name: String
        let sector: Range<Int>
        /// Those that the sector holds some of.
        let records: [SegmentScanner.ScannedRecord]
    }

    /// A sector of records that are all vouched for by records outside it; by durable ones, for a power cut may follow.
    private func victim(_ disk: VirtualDisk) -> Victim? {
        let segments = disk.list().compactMap { file in
            LogFileName(file.name).flatMap { name in if case .segment = name { name } else { nil } }
        }
        guard !segments.isEmpty else { return nil }
        let scanned = segments.map { ($0, LogAudit.records(of: $0, disk)) }
        let (name, records) = scanned[random.below(scanned.count)]
        guard !records.isEmpty else { return nil }
        let target = records[random.below(records.count)]
        let start = target.offset / VirtualDisk.sectorBytes * VirtualDisk.sectorBytes
        let length = disk.contents(name.description)?.count ?? 0
        let sector = start..<min(length, start + VirtualDisk.sectorBytes)
        let hit = records.filter { $0.offset < sector.upperBound && $0.end > sector.lowerBound }
        let vouched =
            segments.flatMap { other in
                LogAudit.records(in: disk.durableContents(other.description)).filter { record in
                    other != name || !hit.contains { $0.offset == record.offset }
                }
            }.map(\.header.durableLSN).max() ?? .zero
        guard hit.allSatisfy({ $0.header.lsn <= vouched }) else { return nil }
        return Victim(name: name.description, sector: sector, records: hit)
    }

    private func otherSector(_ disk: VirtualDisk, like count: Int) -> [UInt8] {
        let files = disk.list().filter { $0.bytes >= count }
        guard !files.isEmpty, let bytes = disk.contents(files[random.below(files.count)].name) else {
            return Array(repeating: 0, count: count)
        }
        let start = random.below(bytes.count - count + 1)
        return Array(bytes[start..<(start + count)])
    }
}
