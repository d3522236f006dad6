import DequeModule
public import Primitives

extension MoveTarget {
    /// The files of one session.
    struct Copy {
        struct File {
            let file: MoveFile
            /// Bytes not yet written.
            var missing: UInt64
            var attempts = 1
        }

        struct Chunk {
            let file: Int
            let offset: UInt64
            let length: Int
            /// `nil` once the bytes have come and are being written.
            var request: Request?
        }

        var openRequest: Request?
        var files: [MoveFile] = []
        /// By index in `files`; `nil` for those that are complete.
        var missing: [File?] = []
        var unfinished = 0
        /// Files to be fetched, in order, and how far the first of them was asked for.
        var queue = Deque<Int>()
        var offset: UInt64 = 0
        /// Pieces whose request was lost.
        var again = Deque<Chunk>()
        var notBefore = MonotonicTime.zero
        /// By request. Never iterated where the order would matter.
        var inFlight: [UInt64: Chunk] = [:]
        var bytesTotal: UInt64 = 0
        var bytesDone: UInt64 = 0
    }

    // MARK: The manifest

    /// What the source said to ``Effect/requestOpen(request:_:)``.
    public mutating func opened(_ request: UInt64, _ answer: MoveOpenAnswer, now: MonotonicTime) {
        guard phase == .opening, copy.openRequest?.number == request else { return }
        copy.openRequest = nil
        switch answer {
        case .manifest(let epoch, let files):
            guard files.count <= Limits.moveFilesMax, Self.areNames(files.map(\.name)) else {
                needsSession = true
                return failed("the source's list of files is not one", now: now)
            }
            succeeded()
            self.epoch = epoch
            copy.files = files
            enter(.examining)
        case .failed(let reason):
            needsSession = true
            failed("the source made no checkpoint: \(reason)", now: now)
        case .restart:
            needsSession = true
            failed("the source knows of a newer attempt", now: now)
        case .superseded:
            failed("the source answered another request", now: now)
        }
    }

    /// Names of files within one directory, each once.
    private static func areNames(_ names: [String]) -> Bool {
        Set(names).count == names.count
            && names.allSatisfy { name in
                !name.isEmpty && name != "." && name != ".."
                    && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 == 0 }
            }
    }

    /// What is in `incoming`: of that, files with the name, size and checksum of one of the manifest's are kept.
    public mutating func examined(local: [MoveFile], now: MonotonicTime) {
        guard phase == .examining else { return }
        succeeded()
        var wanted: [String: MoveFile] = [:]
        for file in copy.files { wanted[file.name] = file }
        let goesByName = mutants.has(.resumeWithoutChecking)
        let isSame = { (file: MoveFile) in
            goesByName ? wanted[file.name] != nil : wanted[file.name] == file
        }
        let kept = Set(local.filter(isSame).map(\.name))
        let stale = local.filter { !isSame($0) }.map(\.name).sorted()
        if !stale.isEmpty { effects.append(.removeFiles(stale)) }
        for (index, file) in copy.files.enumerated() {
            let isMissing = !kept.contains(file.name)
            copy.bytesTotal += file.byteCount
            copy.missing.append(isMissing ? Copy.File(file: file, missing: file.byteCount) : nil)
            if isMissing { want(index) } else { copy.bytesDone += file.byteCount }
        }
        rounds.begin(bytes: copy.bytesTotal - copy.bytesDone, now: now)
        enter(copy.unfinished == 0 ? .installing : .fetching)
    }

    private mutating func want(_ index: Int) {
        copy.unfinished += 1
        if copy.files[index].byteCount == 0 {
            effects.append(.finishFile(copy.files[index]))
        } else {
            copy.queue.append(index)
        }
    }

    // MARK: Chunks

    /// When the next piece may be asked for; `nil` where none is to be.
    public var nextFetchTime: MonotonicTime? {
        guard phase == .fetching, copy.inFlight.count < settings.chunksInFlightMax,
            !copy.queue.isEmpty || !copy.again.isEmpty
        else { return nil }
        return max(budget.nextTime, copy.notBefore)
    }

    mutating func fetchMore(now: MonotonicTime) {
        while let time = nextFetchTime, time <= now {
            var chunk = nextChunk()
            let request = newRequest(now: now)
            chunk.request = request
            copy.inFlight[request.number] = chunk
            budget.take(UInt64(chunk.length), now: now)
            effects.append(
                .requestChunk(
                    request: request.number, session, file: chunk.file, offset: chunk.offset, length: chunk.length))
        }
    }

    private mutating func nextChunk() -> Copy.Chunk {
        if let chunk = copy.again.popFirst() { return chunk }
        guard let index = copy.queue.first else { preconditionFailure("a file is queued") }
        let left = copy.files[index].byteCount - copy.offset
        let length = min(left, UInt64(settings.chunkBytesMax))
        let chunk = Copy.Chunk(file: index, offset: copy.offset, length: Int(length))
        copy.offset += length
        if length == left {
            copy.queue.removeFirst()
            copy.offset = 0
        }
        return chunk
    }

    /// A piece of a file came.
    ///
    /// - Parameter crc: the CRC32C of `bytes`, as the source computed it.
    public mutating func fetched(_ request: UInt64, bytes: [UInt8], crc: UInt32, now: MonotonicTime) {
        guard var chunk = copy.inFlight[request], chunk.request != nil else { return }
        guard bytes.count == chunk.length, CRC32C.checksum(bytes) == crc else {
            return loseChunk(request, now: now)
        }
        succeeded()
        meter.count(UInt64(bytes.count), now: now)
        chunk.request = nil
        copy.inFlight[request] = chunk
        effects.append(
            .writeChunk(request: request, name: copy.files[chunk.file].name, offset: chunk.offset, bytes: bytes))
    }

    mutating func loseChunk(_ request: UInt64, now: MonotonicTime) {
        guard var chunk = copy.inFlight[request], chunk.request != nil else { return }
        copy.inFlight[request] = nil
        chunk.request = nil
        copy.again.append(chunk)
        copy.notBefore = now.adding(nanoseconds: backOff.nextPause())
        trouble = "pieces of files do not arrive"
    }

    public mutating func chunkWritten(_ request: UInt64, now: MonotonicTime) {
        guard let chunk = copy.inFlight[request], chunk.request == nil else { return }
        copy.inFlight[request] = nil
        copy.bytesDone += UInt64(chunk.length)
        guard var state = copy.missing[chunk.file] else { preconditionFailure("a complete file is written to") }
        state.missing -= UInt64(chunk.length)
        copy.missing[chunk.file] = state
        if state.missing == 0 { effects.append(.finishFile(state.file)) }
    }

    /// - Parameters:
    ///   - name: the file's.
    ///   - isSound: whether it has its size and checksum, is synced and has its name.
    public mutating func fileFinished(_ name: String, isSound: Bool, now: MonotonicTime) {
        guard phase == .fetching, let index = copy.files.firstIndex(where: { $0.name == name }),
            var state = copy.missing[index]
        else { return }
        if isSound {
            copy.missing[index] = nil
            copy.unfinished -= 1
            if copy.unfinished == 0 { enter(.installing) }
            return
        }
        guard state.attempts < Limits.moveFileAttemptsMax else {
            beginAnew(now: now)
            return trouble = "the file \(name) does not arrive as it is at the source"
        }
        state.attempts += 1
        state.missing = state.file.byteCount
        copy.missing[index] = state
        copy.bytesDone -= state.file.byteCount
        copy.unfinished -= 1
        want(index)
    }

    /// The store is open, and stands at `applied`.
    public mutating func installed(applied: Position, now: MonotonicTime) {
        guard phase == .installing else { return }
        succeeded()
        follow = Follow(applied: applied, now: now)
        enter(.following)
    }
}
