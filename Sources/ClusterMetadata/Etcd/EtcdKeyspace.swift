internal import ClusterCore
internal import FoundationEssentials

/// Where one cluster's keys stand among all keys of etcd: under `/keystead/CLUSTER/`.
struct EtcdKeyspace: Sendable {
    private let prefix: String

    init(cluster: String) { prefix = "/keystead/\(cluster)/" }

    func stored(_ key: MetadataKey) -> Data { Data((prefix + key.text).utf8) }

    /// Just behind the last key that begins with `key`: its last byte, one higher. Keys are ASCII, and end above 0.
    func end(of key: MetadataKey) -> Data {
        var bytes = stored(key)
        let last = bytes.removeLast()
        precondition(last < UInt8.max, "keys are ASCII")
        bytes.append(last + 1)
        return bytes
    }

    /// `nil` for what others have put there under names that no key of ours can have.
    func key(_ stored: Data) -> MetadataKey? {
        guard stored.starts(with: prefix.utf8) else { return nil }
        let bytes = stored.dropFirst(prefix.utf8.count)
        guard bytes.count <= MetadataLimits.keyBytesMax, bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            return nil
        }
        return MetadataKey(String(decoding: bytes, as: UTF8.self))
    }

    func entry(_ stored: KeyValue) -> MetadataEntry? {
        guard let key = key(stored.key) else { return nil }
        let lease = stored.lease?.value ?? 0
        return MetadataEntry(
            key: key, value: stored.value.map { [UInt8]($0) } ?? [],
            createRevision: MetadataRevision(stored.create_revision?.value ?? 0),
            modRevision: MetadataRevision(stored.mod_revision?.value ?? 0),
            session: lease == 0 ? nil : SessionID(lease))
    }
}

extension AnswerHeader {
    var metadataRevision: MetadataRevision { MetadataRevision(revision?.value ?? 0) }
}
