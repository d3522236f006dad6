/// Whether batches are taken, as ``LogMachine/admission`` last said.
public enum LogAdmission: Sendable, Equatable {
    case open
    /// The disk is full: no new segment can be made.
    case storageFull
    /// Live segments have outgrown `LogConfiguration.liveBytesMax`.
    case flushBehind
    /// Closing, closed or failed.
    case stopped
}

/// The door of the log: bounded batches on their way to the machine.
///
/// A value without a lock. The driver guards it with a short lock, so that any thread may submit while the machine's
/// thread encodes and syncs; the simulator uses it as it is.
public struct LogQueue: Sendable {
    private let bytesMax: Int
    private let largeBatchBytes: Int
    private let crowdedBytes: Int
    private var batches: [AppendBatch] = []
    private var admission = LogAdmission.open
    /// Bytes accepted and not yet released: those in here and those that the machine has not built into a group.
    public private(set) var byteCount = 0

    public init(configuration: LogConfiguration) {
        bytesMax = configuration.queueBytesMax
        largeBatchBytes = configuration.largeBatchBytes
        // An empty queue takes any batch.
        crowdedBytes = max(1, configuration.crowdedBytes)
    }

    public var isStorageFull: Bool { admission == .storageFull }

    public var isEmpty: Bool { batches.isEmpty }

    /// Takes the batch or says why not. A batch larger than the whole queue is taken when nothing else waits.
    public mutating func submit(_ batch: AppendBatch) -> SubmitResult {
        switch admission {
        case .stopped: return .stopped
        case .storageFull: return .storageFull
        case .flushBehind: return .queueFull
        case .open: break
        }
        if batch.mayWait, batch.encodedBytesMax >= largeBatchBytes, byteCount >= crowdedBytes { return .later }
        let isRoom = byteCount + batch.encodedBytesMax <= bytesMax
        guard isRoom || byteCount == 0 else { return .queueFull }
        byteCount += batch.encodedBytesMax
        batches.append(batch)
        return .accepted
    }

    /// What was submitted since the last call, in order, for ``LogMachine/enqueue(_:)``. `spare` becomes the new list,
    /// so that two arrays go round without allocation.
    public mutating func drain(reusing spare: consuming [AppendBatch] = []) -> [AppendBatch] {
        spare.removeAll(keepingCapacity: true)
        swap(&spare, &batches)
        return spare
    }

    /// The machine has built this many bytes into groups (``LogMachine/takeReleasedBytes()``) and says how it stands.
    public mutating func update(admission: LogAdmission, releasing bytes: Int) {
        precondition(bytes <= byteCount, "no more is released than was accepted")
        self.admission = admission
        byteCount -= bytes
    }
}
