import Primitives

/// The name of one entity: `kind/id`, already decoded. Two spellings of one path give equal keys.
///
/// `kind` is `[a-z0-9][a-z0-9._-]{0,63}`; `id` is 1 to 512 bytes of UTF-8 without control characters (C0, DEL, C1) and
/// without a segment `.` or `..`.
public struct EntityKey: Hashable, Sendable {
    /// `kind/id` as stored and as shown in lists: plain text, never percent-encoded.
    public let bytes: [UInt8]
    /// Bytes before the first `/`.
    public let kindLength: Int
    /// `XXH64(bytes, seed)` under the cluster's seed: the entity's place on the ring.
    public let ringHash: UInt64

    /// The most bytes that a key can have.
    static let bytesMax = Limits.kindBytesMax + 1 + Limits.idBytesMax

    public var kind: ArraySlice<UInt8> { bytes[..<kindLength] }
    public var id: ArraySlice<UInt8> { bytes[(kindLength + 1)...] }

    /// Reads the path of a request after `/v1/entities/` (or `/v1/outcomes/`, `/v1/where/`): percent-decoded once, `/`
    /// raw or `%2F` alike. A query is not part of the path. One pass, one allocation.
    public init(path: ArraySlice<UInt8>, seed: UInt64) throws(Problem) {
        try self.init(text: path, percentDecoding: true, seed: seed)
    }

    /// Reads plain text, as in a batch line: nothing is decoded.
    public init(plain: ArraySlice<UInt8>, seed: UInt64) throws(Problem) {
        try self.init(text: plain, percentDecoding: false, seed: seed)
    }

    /// Reads plain text where it lies, as in a message of a peer.
    public init(plain: UnsafeRawBufferPointer, seed: UInt64) throws(Problem) {
        try self.init(text: plain, percentDecoding: false, seed: seed)
    }

    private init(text: some Collection<UInt8>, percentDecoding: Bool, seed: UInt64) throws(Problem) {
        guard text.count <= KeyScan.textBytesMax else { throw KeyFault.idTooLong.problem }
        var bytes = Array(text)
        let scan: KeyScan
        do {
            var span = bytes.mutableSpan
            scan = try KeyScan(&span, percentDecoding: percentDecoding)
        } catch {
            throw error.problem
        }
        bytes.removeLast(bytes.count - scan.count)
        self.init(checked: bytes, kindLength: scan.kindLength, ringHash: XXH64.hash(bytes, seed: seed))
    }

    /// Takes what an earlier check of the same bytes found.
    init(checked bytes: [UInt8], kindLength: Int, ringHash: UInt64) {
        self.bytes = bytes
        self.kindLength = kindLength
        self.ringHash = ringHash
    }

    public static func == (left: Self, right: Self) -> Bool {
        left.ringHash == right.ringHash && left.bytes == right.bytes
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(ringHash) }

    /// Whether `text` can be a kind.
    public static func isKind(_ text: ArraySlice<UInt8>) -> Bool {
        guard let first = text.first, text.count <= Limits.kindBytesMax else { return false }
        return KeyScan.isKindByte(first, first: true)
            && text.dropFirst().allSatisfy { KeyScan.isKindByte($0, first: false) }
    }
}
