public import Entities
internal import Primitives

/// The one answer to a ``PeerRequest``.
public enum PeerResponse: Sendable {
    /// To write, read and list: what the owner answered.
    case answer(Answer)
    /// To write and read: the receiver does not own the shard and did nothing. `mapRevision` is that of its map.
    case notOwner(mapRevision: UInt64)
    /// To any request.
    case refused(PeerRefusal)
    /// To moveOpen.
    case manifest(MoveManifest)
    /// To moveFetch: bytes of a file, and their CRC32C as the source read them.
    case chunk(bytes: [UInt8], checksum: UInt32)
    /// To movePull.
    case records(MoveRecords)
    /// To moveProgress.
    case progress([MoveReport])
    /// To moveClose.
    case closed
    /// To shards.
    case shards([ShardReport])
}

/// Why a node did not do what a peer asked.
public struct PeerRefusal: Sendable, Equatable {
    /// Codes of later versions pass through as they are.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: UInt16

        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// A type of request that the receiver does not know.
        public static let unsupported = Code(rawValue: 1)
        /// A request that could not be read.
        public static let malformed = Code(rawValue: 2)
        public static let overloaded = Code(rawValue: 3)
        public static let shuttingDown = Code(rawValue: 4)
        /// A move's session that the receiver does not know (any more).
        public static let unknownSession = Code(rawValue: 5)
        /// No such shard or file.
        public static let notFound = Code(rawValue: 6)
        /// It went wrong; the text says how.
        public static let failed = Code(rawValue: 7)
        /// The answer is longer than the asker takes. The request has been executed.
        public static let answerTooLong = Code(rawValue: 8)
    }

    public let code: Code
    /// What, where and what to do. Cut at `Limits.peerTextBytesMax`.
    public let text: String

    public init(_ code: Code, _ text: String) {
        self.code = code
        self.text = text
    }

    /// Whether it is sure that nothing was executed (G6).
    public var surelyNotExecuted: Bool {
        switch code {
        case .unsupported, .malformed, .overloaded, .shuttingDown, .unknownSession, .notFound: true
        default: false
        }
    }
}

/// Bodies (little-endian):
///
/// answer, 0x40: ``Entities/Answer``.
///
/// notOwner, 0x41
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | map revision |
///
/// refused, 0x42
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 2 | code (``PeerRefusal/Code``) |
/// | 2 | 2 | length of the text |
/// | 4 | … | text, UTF-8 |
///
/// manifest, 0x50: ``MoveManifest``.
///
/// chunk, 0x51
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | CRC32C of the bytes |
/// | 4 | 4 | n, at most 1 MiB |
/// | 8 | n | bytes |
///
/// records, 0x52: ``MoveRecords``.
///
/// progress, 0x53
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | number of reports |
/// | 4 | … | ``MoveReport``, one after the other |
///
/// closed, 0x54: nothing.
///
/// shards, 0x55
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | number of reports |
/// | 4 | … | ``ShardReport``, one after the other |
extension PeerResponse: WireBody {
    /// Reads the body of a response frame, as ``PeerRequest/init(type:body:ring:)`` does a request's. Whether it
    /// answers what was asked is told by ``PeerExpectation``.
    public init(type: PeerFrameType, body: UnsafeRawBufferPointer, ring: WireRing) throws(PeerWireError) {
        var input = WireInput(body, ring: ring)
        switch type {
        case .answer: self = .answer(try Answer(from: &input))
        case .notOwner: self = .notOwner(mapRevision: try input.uint64())
        case .refused:
            let code = PeerRefusal.Code(rawValue: try input.uint16())
            self = .refused(PeerRefusal(code, try input.text(bytesMax: Limits.peerTextBytesMax)))
        case .manifest: self = .manifest(try MoveManifest(from: &input))
        case .chunk:
            let checksum = try input.uint32()
            let count = try input.count(max: Limits.peerChunkBytesMax, bytesEach: 1)
            self = .chunk(bytes: try input.array(count), checksum: checksum)
        case .records: self = .records(try MoveRecords(from: &input))
        case .progress: self = .progress(try MoveReport.readAll(from: &input))
        case .closed: self = .closed
        case .shards: self = .shards(try ShardReport.readAll(from: &input))
        default: throw .unknownType(type.rawValue)
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
        case .answer: .answer
        case .notOwner: .notOwner
        case .refused: .refused
        case .manifest: .manifest
        case .chunk: .chunk
        case .records: .records
        case .progress: .progress
        case .closed: .closed
        case .shards: .shards
        }
    }

    func write<Output: WireOutput>(to output: inout Output) {
        switch self {
        case .answer(let answer): answer.write(to: &output)
        case .notOwner(let revision): output.write(revision)
        case .refused(let refusal):
            output.write(refusal.code.rawValue)
            output.write(refusal.text, bytesMax: Limits.peerTextBytesMax)
        case .manifest(let manifest): manifest.write(to: &output)
        case .chunk(let bytes, let checksum):
            output.write(checksum)
            output.writeLong(bytes)
        case .records(let records): records.write(to: &output)
        case .progress(let reports):
            output.write(UInt32(reports.count))
            for report in reports { report.write(to: &output) }
        case .closed: break
        case .shards(let reports):
            output.write(UInt32(reports.count))
            for report in reports { report.write(to: &output) }
        }
    }
}
