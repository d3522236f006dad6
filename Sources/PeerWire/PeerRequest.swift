public import Entities
public import Primitives

/// What one node asks of another. A forwarded request is never forwarded again: the owner executes it, or answers
/// ``PeerResponse/notOwner(mapRevision:)``.
///
/// `deadlineMilliseconds` is the time that the request has left when it is sent; clocks of two nodes are never
/// compared. `mapRevision` is that of the map by which the sender chose the receiver.
public enum PeerRequest: Sendable {
    case write(WriteOperation, deadlineMilliseconds: UInt32, mapRevision: UInt64)
    case read(ReadRequest, deadlineMilliseconds: UInt32, mapRevision: UInt64)
    /// The entities of the shards from `first` to `last` that the receiver owns.
    case list(ListRequest, deadlineMilliseconds: UInt32, first: ShardID, last: ShardID)
    /// Begin to give `shard` away: tee its effects, make a checkpoint, answer its manifest. `session` is the target's
    /// name for this attempt; an earlier one of the same shard is over.
    case moveOpen(shard: ShardID, operation: String, session: UInt64)
    /// `length` bytes of file number `file` of the manifest, at most `Limits.peerChunkBytesMax`.
    case moveFetch(shard: ShardID, session: UInt64, file: UInt32, offset: UInt64, length: UInt32)
    /// The committed records after `after`; the target is durable through `durable`. Answered when there are some, or
    /// after `waitMilliseconds`, or when the phase changes.
    case movePull(
        shard: ShardID, session: UInt64, after: Position, durable: Position, bytesMax: UInt32,
        waitMilliseconds: UInt32)
    /// The attempt is over: the checkpoint and the tee can go.
    case moveClose(shard: ShardID, session: UInt64)
    /// How the moves that the receiver takes part in are getting on.
    case moveProgress
    /// How the shards that the receiver owns are.
    case shards
}

/// Bodies (little-endian; `…` follows what stands before it):
///
/// write, 0x10
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | milliseconds left |
/// | 4 | 8 | map revision |
/// | 12 | … | ``Entities/WriteOperation`` |
///
/// read, 0x11
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | milliseconds left |
/// | 4 | 8 | map revision |
/// | 12 | … | ``Entities/ReadRequest`` |
///
/// list, 0x12
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | milliseconds left |
/// | 4 | 4 | first shard |
/// | 8 | 4 | last shard, not before the first |
/// | 12 | … | ``Entities/ListRequest`` |
///
/// moveOpen, 0x20
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | shard |
/// | 4 | 8 | session |
/// | 12 | 2 | length of the operation's id |
/// | 14 | … | operation |
///
/// moveFetch, 0x21
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | shard |
/// | 4 | 8 | session |
/// | 12 | 4 | index of the file in the manifest |
/// | 16 | 8 | offset in the file |
/// | 24 | 4 | length, 1 byte to 1 MiB |
///
/// movePull, 0x22
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | shard |
/// | 4 | 8 | session |
/// | 12 | 8 | after this position |
/// | 20 | 8 | durable through this position, at most the one before |
/// | 28 | 4 | bytes of payload at most; one record comes even if it is longer |
/// | 32 | 4 | milliseconds to wait at most |
///
/// moveClose, 0x23
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | shard |
/// | 4 | 8 | session |
///
/// moveProgress, 0x24, and shards, 0x25: nothing.
extension PeerRequest: WireBody {
    /// Reads the body of a request frame.
    ///
    /// Whatever the bytes are, what comes out is within the bounds of its message: shards are the ring's, operations
    /// obey ``Entities/OperationChecks``, and numbers can be counted on from.
    ///
    /// - Parameter ring: the cluster's: keys are checked and hashed here, as those of a client are.
    public init(type: PeerFrameType, body: UnsafeRawBufferPointer, ring: WireRing) throws(PeerWireError) {
        var input = WireInput(body, ring: ring)
        switch type {
        case .write:
            let deadline = try input.uint32()
            let revision = try input.uint64()
            let operation = try WriteOperation(from: &input)
            self = .write(operation, deadlineMilliseconds: deadline, mapRevision: revision)
        case .read:
            let deadline = try input.uint32()
            let revision = try input.uint64()
            let request = try ReadRequest(from: &input)
            self = .read(request, deadlineMilliseconds: deadline, mapRevision: revision)
        case .list:
            let deadline = try input.uint32()
            let first = try input.shard()
            let last = try input.shard()
            guard first <= last else { throw .malformed("the last shard comes before the first") }
            let request = try ListRequest(from: &input)
            self = .list(request, deadlineMilliseconds: deadline, first: first, last: last)
        default:
            self = try Self.move(type, &input)
        }
    }

    private static func move(_ type: PeerFrameType, _ input: inout WireInput) throws(PeerWireError) -> PeerRequest {
        switch type {
        case .moveOpen:
            let shard = try input.shard()
            let session = try input.uint64()
            return .moveOpen(
                shard: shard, operation: try input.text(bytesMax: Limits.peerTextBytesMax), session: session)
        case .moveFetch:
            let shard = try input.shard()
            let session = try input.uint64()
            let file = try input.uint32()
            let offset = try input.uint64()
            let length = try input.uint32()
            guard (1...UInt32(Limits.peerChunkBytesMax)).contains(length) else {
                throw .malformed("a chunk is empty or too long")
            }
            guard file < UInt32(Limits.peerManifestFilesMax), offset <= Limits.peerFileBytesMax - UInt64(length) else {
                throw .malformed("a chunk is of no file")
            }
            return .moveFetch(shard: shard, session: session, file: file, offset: offset, length: length)
        case .movePull:
            let shard = try input.shard()
            let session = try input.uint64()
            let after = try input.position()
            let durable = try input.position()
            guard durable <= after else { throw .malformed("a target is durable beyond what it has") }
            return .movePull(
                shard: shard, session: session, after: after, durable: durable, bytesMax: try input.uint32(),
                waitMilliseconds: try input.uint32())
        case .moveClose:
            return .moveClose(shard: try input.shard(), session: try input.uint64())
        case .moveProgress:
            return .moveProgress
        case .shardsAsked:
            return .shards
        default:
            throw .unknownType(type.rawValue)
        }
    }

    /// What ``encodeFrame(id:into:)`` will write.
    public var frameBytes: Int { countedFrameBytes() }

    /// Writes the whole frame at the start of `target`, which has ``frameBytes`` bytes or more; returns their number.
    public func encodeFrame(id: UInt64, into target: UnsafeMutableRawBufferPointer) -> Int {
        writeFrame(id: id, into: target)
    }

    /// The whole frame in an array of its own.
    public func frame(id: UInt64) -> [UInt8] { frameArray(id: id) }

    var frameType: PeerFrameType {
        switch self {
        case .write: .write
        case .read: .read
        case .list: .list
        case .moveOpen: .moveOpen
        case .moveFetch: .moveFetch
        case .movePull: .movePull
        case .moveClose: .moveClose
        case .moveProgress: .moveProgress
        case .shards: .shardsAsked
        }
    }

    func write<Output: WireOutput>(to output: inout Output) {
        switch self {
        case .write(let operation, let deadline, let revision):
            output.write(deadline)
            output.write(revision)
            operation.write(to: &output)
        case .read(let request, let deadline, let revision):
            output.write(deadline)
            output.write(revision)
            request.write(to: &output)
        case .list(let request, let deadline, let first, let last):
            output.write(deadline)
            output.write(first)
            output.write(last)
            request.write(to: &output)
        case .moveOpen(let shard, let operation, let session):
            output.write(shard)
            output.write(session)
            output.write(operation, bytesMax: Limits.peerTextBytesMax)
        case .moveFetch(let shard, let session, let file, let offset, let length):
            output.write(shard)
            output.write(session)
            output.write(file)
            output.write(offset)
            output.write(length)
        case .movePull(let shard, let session, let after, let durable, let bytesMax, let waitMilliseconds):
            output.write(shard)
            output.write(session)
            output.write(after)
            output.write(durable)
            output.write(bytesMax)
            output.write(waitMilliseconds)
        case .moveClose(let shard, let session):
            output.write(shard)
            output.write(session)
        case .moveProgress, .shards:
            break
        }
    }
}
