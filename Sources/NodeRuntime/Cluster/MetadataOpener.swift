import ClusterCore
import ClusterMetadata
import Logging
import Primitives

/// The cluster's metadata store as a node of this process opens it.
struct MetadataOpener {
    /// `nil`: the embedded one, which lies in the node's directory and is opened with it.
    let store: (any MetadataStore)?
    private let etcd: EtcdMetadata?

    /// Connects to nothing yet but to ask for the version, which may fail: the node waits for the store later.
    static func open(_ configuration: NodeConfiguration, _ logger: Logger) async throws(NodeStartError)
        -> MetadataOpener
    {
        guard case .etcd(var location) = configuration.metadata else { return MetadataOpener(store: nil, etcd: nil) }
        let credentials = configuration.metadataCredentials
        func given(_ text: String) -> String? { text.isEmpty ? nil : text }
        location.user = given(credentials.user)
        location.password = credentials.password.isEmpty ? nil : credentials.password
        location.certificateFile = given(credentials.certificate)
        location.keyFile = given(credentials.key)
        location.authoritiesFile = given(credentials.authority)
        logger.info("the metadata store is asked", metadata: ["at": "\(location)"])
        do {
            let etcd = try EtcdMetadata(location, cluster: configuration.cluster)
            if let warning = try? await etcd.versionWarning() { logger.warning("\(warning)") }
            return MetadataOpener(store: etcd, etcd: etcd)
        } catch {
            throw NodeStartError("\(error)", isRefusal: true)
        }
    }

    func close() async { await etcd?.close() }
}
