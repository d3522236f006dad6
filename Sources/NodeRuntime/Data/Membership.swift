import LogFormat
import Primitives

struct Membership: Sendable {
    let clusterName: String
    let nodeID: String
    let ringSeed: UInt64
    let mapRevision: UInt64
    let logIdentity: LogIdentity
    let shards: [(shard: ShardID, epoch: Epoch)]
    static func load(_ directory: borrowing DataDirectory, _ configuration: NodeConfiguration, isNew: Bool) throws -> Membership { fatalError() }
    func save(_ directory: borrowing DataDirectory) throws {}
}
