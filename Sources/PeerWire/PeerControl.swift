public import HashRing
internal import Primitives

/// Frames of the connection itself.
public enum PeerControl: Sendable, Equatable {
    /// The first frame in each direction.
    case hello(PeerHello)
    /// Instead of a hello: why there will be none. The connection closes after it.
    case refuse(String)
    /// Answered at once by a pong with the same id: tells a silent peer from a dead one.
    case ping
    case pong
    /// The sender takes no new requests and answers what it has; the other side should close when that is done.
    case bye

    /// Reads the body of a control frame; `nil` for a type that this version does not know, which is to be ignored.
    ///
    /// | type | body |
    /// | --- | --- |
    /// | hello | ``PeerHello`` |
    /// | refuse | 2 bytes: length of the text; the text, UTF-8 |
    /// | ping, pong, bye | nothing |
    public init?(type: PeerFrameType, body: UnsafeRawBufferPointer) throws(PeerWireError) {
        var input = WireInput(body)
        switch type {
        case .hello: self = .hello(try PeerHello(from: &input))
        case .refuse: self = .refuse(try input.text(bytesMax: Limits.peerTextBytesMax))
        case .ping: self = .ping
        case .pong: self = .pong
        case .bye: self = .bye
        default: return nil
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
}

extension PeerControl: WireBody {
    var frameType: PeerFrameType {
        switch self {
        case .hello: .hello
        case .refuse: .refuse
        case .ping: .ping
        case .pong: .pong
        case .bye: .bye
        }
    }

    func write<Output: WireOutput>(to output: inout Output) {
        switch self {
        case .hello(let hello): hello.write(to: &output)
        // The first frame that a peer takes is small.
        case .refuse(let text): output.write(text, bytesMax: Limits.peerHelloBytesMax / 2)
        case .ping, .pong, .bye: break
        }
    }
}

/// Who speaks, and what it takes. The layout of these fields never changes, so that any two versions can tell that they
/// do not understand each other.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 8 | magic, `KSPEER\r\n` |
/// | 8 | 2 | highest protocol version that the sender speaks |
/// | 10 | 2 | lowest protocol version that the sender speaks |
/// | 12 | 4 | the longest frame that the sender takes, in bytes, header included |
/// | 16 | 8 | cluster id, high half |
/// | 24 | 8 | cluster id, low half |
/// | 32 | 8 | store id, high half |
/// | 40 | 8 | store id, low half |
/// | 48 | 8 | boot count |
/// | 56 | 2 | m, length of the node's name |
/// | 58 | m | the node's name |
public struct PeerHello: Sendable, Equatable {
    public static let version: UInt16 = 1
    static let magic: UInt64 = 0x0A0D_5245_4550_534B

    public var version: UInt16
    public var versionMin: UInt16
    public var frameBytesMax: Int
    public var clusterHigh: UInt64
    public var clusterLow: UInt64
    public var storeHigh: UInt64
    public var storeLow: UInt64
    public var bootCount: UInt64
    public var node: NodeID

    /// As this version of the code says hello.
    public init(
        node: NodeID, clusterHigh: UInt64, clusterLow: UInt64, storeHigh: UInt64, storeLow: UInt64, bootCount: UInt64
    ) {
        version = Self.version
        versionMin = Self.version
        frameBytesMax = Limits.peerFrameBytesMax
        self.clusterHigh = clusterHigh
        self.clusterLow = clusterLow
        self.storeHigh = storeHigh
        self.storeLow = storeLow
        self.bootCount = bootCount
        self.node = node
    }

    /// Why this node will not speak with the sender of `other`: a sentence for the other side and for the log. `nil`
    /// where it will.
    public func objection(to other: PeerHello) -> String? {
        guard other.versionMin <= version, versionMin <= other.version else {
            return "\(other.node) speaks versions \(other.versionMin) to \(other.version) of the peer protocol, "
                + "\(node) speaks \(versionMin) to \(version)"
        }
        guard other.clusterHigh == clusterHigh, other.clusterLow == clusterLow else {
            return "\(other.node) belongs to another cluster than \(node)"
        }
        guard other.frameBytesMax >= Limits.peerHelloBytesMax else {
            return "\(other.node) takes frames of \(other.frameBytesMax) bytes at most"
        }
        return nil
    }

    init(from input: inout WireInput) throws(PeerWireError) {
        guard try input.uint64() == Self.magic else { throw .malformed("no hello of a peer: its magic is wrong") }
        version = try input.uint16()
        versionMin = try input.uint16()
        frameBytesMax = Int(try input.uint32())
        clusterHigh = try input.uint64()
        clusterLow = try input.uint64()
        storeHigh = try input.uint64()
        storeLow = try input.uint64()
        bootCount = try input.uint64()
        guard let node = NodeID(try input.text(bytesMax: NodeID.bytesMax)) else {
            throw .malformed("not the name of a node")
        }
        self.node = node
    }

    func write<Output: WireOutput>(to output: inout Output) {
        output.write(Self.magic)
        output.write(version)
        output.write(versionMin)
        output.write(UInt32(frameBytesMax))
        output.write(clusterHigh)
        output.write(clusterLow)
        output.write(storeHigh)
        output.write(storeLow)
        output.write(bootCount)
        output.write(node.text, bytesMax: NodeID.bytesMax)
    }
}
