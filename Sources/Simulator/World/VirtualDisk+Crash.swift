import Primitives

/// What a power cut leaves, and what rots on the platter.
extension VirtualDisk {
    /// The power goes. Afterwards both images are what the platter kept.
    func powerCut() {
        powerCuts += 1
        let keepsAll = !settings.faults.contains(.crashLosesWrites) || world.quiet
        for file in files.indices where !files[file].pending.isEmpty || files[file].live != files[file].durable {
            if keepsAll {
                for write in files[file].pending { files[file].durable.overlay(write.bytes, at: write.offset) }
            } else {
                keepSome(file)
            }
            files[file].pending.removeAll()
            files[file].live = files[file].durable
        }
        cutNames()
    }

    /// Keeps each unsynced write whole, not at all, or some of its sectors.
    private func keepSome(_ file: Int) {
        for write in files[file].pending {
            world.faults.draw(.crashLosesWrites)
            switch random.below(3) {
            case 0:
                world.faults.took(.crashLosesWrites)
            case 1 where settings.faults.contains(.crashTearsWrite):
                tear(write, file)
            default:
                files[file].durable.overlay(write.bytes, at: write.offset)
            }
        }
    }

    private func tear(_ write: VirtualFile.PendingWrite, _ file: Int) {
        world.faults.draw(.crashTearsWrite)
        var offset = write.offset
        let end = write.offset + write.bytes.count
        var kept = 0
        var lost = 0
        // Half of all tears keep a front part, as a disk that writes in order does.
        let front = random.chance(1, in: 2) ? write.offset + random.below(write.bytes.count) : nil
        while offset < end {
            let next = min(end, (offset / Self.sectorBytes + 1) * Self.sectorBytes)
            let keeps = front.map { offset < $0 } ?? random.chance(1, in: 2)
            if keeps {
                let part = write.bytes[(offset - write.offset)..<(next - write.offset)]
                files[file].durable.overlay(part, at: offset)
                kept += 1
            } else {
                lost += 1
            }
            offset = next
        }
        if kept > 0, lost > 0 { world.faults.took(.crashTearsWrite) }
    }

    /// Names not synced: all kept, a front part as a journal leaves, or any subset.
    private func cutNames() {
        defer {
            pendingNames.removeAll()
            names = durableNames
        }
        guard !pendingNames.isEmpty else { return }
        let loses = settings.faults.contains(.crashLosesNames) && !world.quiet
        if loses { world.faults.draw(.crashLosesNames) }
        let front = loses ? random.below(pendingNames.count + 1) : pendingNames.count
        for change in pendingNames.prefix(front) { durableNames.apply(change) }
        if front < pendingNames.count {
            world.faults.took(.crashLosesNames)
            world.probes.reached(.namesLostInCrash)
        }
    }

    /// The whole disk: what a later assignment puts back.
    var image: Image {
        get { Image(files: files, names: names) }
        set {
            powerCuts += 1
            files = newValue.files
            names = newValue.names
            // What is put back is a copy of what could be read, and a copy is synced: a start on the damaged disk
            // may have found, and made durable, what was only in the cache when the image was taken.
            for file in files.indices {
                files[file].durable = files[file].live
                files[file].pending.removeAll()
            }
            durableNames = names
            pendingNames = []
        }
    }

    struct Image {
        fileprivate let files: [VirtualFile]
        fileprivate let names: NameTable
    }

    /// Puts other bytes in place of some: a write that went astray, or one that never arrived.
    func replace(_ name: String, at offset: Int, with bytes: [UInt8]) {
        guard let file = names[name] else { return }
        files[file].live.overlay(bytes, at: offset)
        files[file].durable.overlay(bytes, at: offset)
    }
}
