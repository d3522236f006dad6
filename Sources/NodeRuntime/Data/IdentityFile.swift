import ClusterCore
import ClusterMetadata
import HashRing

/// The file that ties a data directory to one node of one cluster, and counts the node's starts.
///
/// Five lines of text: `cluster ID`, `node NAME`, `store ID`, `boots N`, `announced N`. A start is announced here
/// before it is counted in the metadata store and confirmed here afterwards, so a directory restored from an old copy
/// is told from one whose node crashed while starting (rule R8).
enum IdentityFile {
    private static let name = "IDENTITY"

    static func write(_ identity: NodeIdentity, to directory: DataDirectory) throws(DataDirectoryError) {
        try directory.replace(
            name,
            with: """
                cluster \(identity.cluster)
                node \(identity.node)
                store \(identity.store)
                boots \(identity.bootCount)
                announced \(identity.announcedBootCount)

                """)
    }

    static func read(from directory: DataDirectory) throws(DataDirectoryError) -> NodeIdentity {
        var values: [Substring: Substring] = [:]
        for line in (directory.text(of: name) ?? "").split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1)
            if words.count == 2 { values[words[0]] = words[1] }
        }
        guard let cluster = values["cluster"].flatMap({ UniqueID(String($0)) }),
            let node = values["node"].flatMap({ NodeID(String($0)) }),
            let store = values["store"].flatMap({ UniqueID(String($0)) }),
            let boots = values["boots"].flatMap({ UInt64($0) }),
            let announced = values["announced"].flatMap({ UInt64($0) }), announced >= boots, announced - boots <= 1
        else {
            throw DataDirectoryError(
                description:
                    "\(directory.path)/\(name) is missing or damaged, so this cannot be told to be the node's own data")
        }
        return NodeIdentity(
            cluster: cluster, node: node, store: store, bootCount: boots, announcedBootCount: announced)
    }
}
