import HashRing
import PeerWire
import Primitives

/// Frames of the peer protocol, sound and unsound (`Sources/PeerWire/PeerFrame.swift` has the bytes).
enum PeerFrames {
    /// What a node of the same cluster says first.
    static func hello(of cluster: (high: UInt64, low: UInt64)) -> [UInt8] {
        guard let node = NodeID("stranger") else { preconditionFailure("stranger is the name of a node") }
        return PeerControl.hello(
            PeerHello(
                node: node, clusterHigh: cluster.high, clusterLow: cluster.low, storeHigh: 1, storeLow: 2, bootCount: 1)
        ).frame(id: 0)
    }

    /// A frame with a right checksum, whatever its body is.
    static func frame(type: UInt8, id: UInt64, body: [UInt8]) -> [UInt8] {
        let rest = fields(bodyBytes: body.count, id: id, type: type) + body
        return bytes(of: rest.withUnsafeBytes { CRC32C.checksum(buffer: $0) }) + rest
    }

    /// The beginning of a frame, with the checksum of another.
    static func header(bodyBytes: Int, id: UInt64, type: UInt8) -> [UInt8] {
        bytes(of: UInt32(0)) + fields(bodyBytes: bodyBytes, id: id, type: type)
    }

    private static func fields(bodyBytes: Int, id: UInt64, type: UInt8) -> [UInt8] {
        bytes(of: UInt32(bodyBytes)) + bytes(of: id) + [type, 0, 0, 0]
    }

    private static func bytes<Number: FixedWidthInteger>(of number: Number) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }
}
