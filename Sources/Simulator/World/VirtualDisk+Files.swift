import Primitives

/// The operations that a process has.
extension VirtualDisk {
    /// Names and sizes, sorted by name.
    func list() -> [(name: String, bytes: Int)] {
        names.entries.map { ($0.name, files[$0.file].live.count) }
    }

    /// The live bytes of a file; `nil` where there is none of that name.
    func contents(_ name: String) -> [UInt8]? { names[name].map { files[$0].live } }

    /// What a power cut would leave of it at the worst.
    func durableContents(_ name: String) -> [UInt8]? { names[name].map { files[$0].durable } }

    /// Reads up to `count` bytes. `fresh`: the page cache is dropped first, so that what was never written back and is
    /// no longer going to be (the pages of a failed sync) is not seen.
    func read(
        _ name: String, at offset: Int, _ count: Int, fresh: Bool,
        done: @escaping (Result<[UInt8], DiskFailure>) -> Void
    ) {
        guard let file = names[name], !strikes(.readError, 1, in: 150) else {
            world.faults.hit(.readError)
            return complete(.failure(.io), base: settings.writeNanoseconds, done)
        }
        if fresh { dropCleanPages(of: file) }
        let live = files[file].live
        let bytes = Array(live[min(offset, live.count)..<min(offset + count, live.count)])
        complete(.success(bytes), base: settings.writeNanoseconds, done)
    }

    /// Dirty pages stay: what is still to be written back is part of the file.
    private func dropCleanPages(of file: Int) {
        var image = files[file].durable
        for write in files[file].pending { image.overlay(write.bytes, at: write.offset) }
        files[file].live = image
    }

    func create(_ name: String, done: @escaping (Result<Int, DiskFailure>) -> Void) {
        if isFull() { return complete(.failure(.noSpace), base: settings.writeNanoseconds, done) }
        files.append(VirtualFile())
        let file = files.count - 1
        change(.link(name, file))
        complete(.success(file), base: settings.writeNanoseconds, done)
    }

    /// Reserves blocks, so that writes up to there find space.
    func allocate(_ file: Int, _ byteCount: Int, done: @escaping (Result<Void, DiskFailure>) -> Void) {
        if isFull() { return complete(.failure(.noSpace), base: settings.writeNanoseconds, done) }
        files[file].reserved = byteCount
        complete(.success(()), base: settings.writeNanoseconds, done)
    }

    func rename(_ old: String, to new: String, done: @escaping (Result<Void, DiskFailure>) -> Void) {
        precondition(names[old] != nil, "a file to be renamed is there")
        change(.rename(old, new))
        complete(.success(()), base: settings.writeNanoseconds, done)
    }

    func remove(_ name: String, done: @escaping (Result<Void, DiskFailure>) -> Void) {
        change(.unlink(name))
        complete(.success(()), base: settings.writeNanoseconds, done)
    }

    private func change(_ change: NameChange) {
        names.apply(change)
        pendingNames.append(change)
    }

    /// Writes all of `bytes`, or fails; a failed or short write may have left any part of them.
    func write(
        _ file: Int, at offset: Int, _ bytes: [UInt8], done: @escaping (Result<Int, DiskFailure>) -> Void
    ) {
        let end = offset + bytes.count
        if end > max(files[file].live.count, files[file].reserved), isFull() {
            return complete(.failure(.noSpace), base: settings.writeNanoseconds, done)
        }
        if strikes(.writeError, 1, in: settings.errorEvery) {
            world.faults.hit(.writeError)
            put(file, at: offset, Array(bytes.prefix(random.below(bytes.count + 1))))
            return complete(.failure(.io), base: settings.writeNanoseconds, done)
        }
        if bytes.count > 1, strikes(.shortWrite, 1, in: settings.errorEvery / 8 + 1) {
            world.faults.hit(.shortWrite)
            let count = 1 + random.below(bytes.count - 1)
            put(file, at: offset, Array(bytes.prefix(count)))
            return complete(.success(count), base: settings.writeNanoseconds, done)
        }
        put(file, at: offset, bytes)
        complete(.success(bytes.count), base: settings.writeNanoseconds, bytes: bytes.count, done)
    }

    private func put(_ file: Int, at offset: Int, _ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        files[file].pending.append(.init(offset: offset, bytes: bytes))
        files[file].live.overlay(bytes, at: offset)
    }

    /// Puts everything written to the file so far on the platter.
    func sync(_ file: Int, done: @escaping (Result<Void, DiskFailure>) -> Void) {
        let covered = files[file].pending.count
        if strikes(.syncError, 1, in: settings.errorEvery) {
            world.faults.hit(.syncError)
            files[file].pending.removeFirst(covered)
            return complete(.failure(.io), base: settings.syncNanoseconds, done)
        }
        let epoch = powerCuts
        complete(.success(()), base: settings.syncNanoseconds) { [self] (result: Result<Void, DiskFailure>) in
            // A power cut in between has decided by itself what was kept.
            if powerCuts == epoch {
                for write in files[file].pending.prefix(covered) {
                    files[file].durable.overlay(write.bytes, at: write.offset)
                }
                files[file].pending.removeFirst(min(covered, files[file].pending.count))
            }
            done(result)
        }
    }

    /// Makes the names as they are now durable.
    func syncDirectory(done: @escaping (Result<Void, DiskFailure>) -> Void) {
        let covered = pendingNames.count
        let epoch = powerCuts
        complete(.success(()), base: settings.syncNanoseconds) { [self] (result: Result<Void, DiskFailure>) in
            if powerCuts == epoch {
                for change in pendingNames.prefix(covered) { durableNames.apply(change) }
                pendingNames.removeFirst(min(covered, pendingNames.count))
            }
            done(result)
        }
    }

    private func isFull() -> Bool {
        guard world.now < fullUntil else { return false }
        world.faults.took(.diskFull)
        refusalsForSpace += 1
        return true
    }
}

extension [UInt8] {
    /// Writes `bytes` over what is there, growing with zeroes where that is needed.
    mutating func overlay(_ bytes: some Collection<UInt8>, at offset: Int) {
        let end = offset + bytes.count
        if end > count { append(contentsOf: repeatElement(0, count: end - count)) }
        replaceSubrange(offset..<end, with: bytes)
    }
}
