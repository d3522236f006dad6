public import Primitives

/// How one shard is, as its owner says.
///
/// | offset | bytes | field |
/// | --- | --- | --- |
/// | 0 | 4 | shard |
/// | 4 | 8 | epoch |
/// | 12 | 8 | applied position |
/// | 20 | 8 | bytes that it takes, about |
/// | 28 | 2 + m | length and name of its state: `serving`, `damaged` or `unavailable` |
public struct ShardReport: Sendable, Equatable {
    public enum State: String, Sendable, Hashable, CaseIterable {
        case serving
        /// Some row cannot be read.
        case damaged
        case unavailable
    }

    public let shard: ShardID
    public let epoch: Epoch
    public let position: Position
    /// Of its tables and of what is only in memory.
    public let byteCount: UInt64
    public let state: State

    private static let bytesMin = 30

    public init(shard: ShardID, epoch: Epoch, position: Position, byteCount: UInt64, state: State) {
        self.shard = shard
        self.epoch = epoch
        self.position = position
        self.byteCount = byteCount
        self.state = state
    }

    static func readAll(from input: inout WireInput) throws(PeerWireError) -> [ShardReport] {
        let count = try input.count(max: Limits.shardsMax, bytesEach: bytesMin)
        var reports: [ShardReport] = []
        reports.reserveCapacity(count)
        for _ in 0..<count { reports.append(try ShardReport(from: &input)) }
        return reports
    }

    private init(from input: inout WireInput) throws(PeerWireError) {
        shard = try input.shard()
        epoch = try input.epoch()
        position = try input.position()
        byteCount = try input.reportedBytes()
        state = try input.word()
    }

    func write<Output: WireOutput>(to output: inout Output) {
        output.write(shard)
        output.write(epoch)
        output.write(position)
        output.write(byteCount)
        output.write(state.rawValue, bytesMax: Limits.peerTextBytesMax)
    }
}
