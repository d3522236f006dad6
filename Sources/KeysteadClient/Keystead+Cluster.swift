import NIOHTTP1

extension Keystead {
    /// The cluster as the admin endpoint's node sees it.
    public func cluster(deadline: Duration? = nil) async throws(KeysteadError) -> ClusterPicture {
        let document = try await adminDocument("/v1/cluster", deadline: deadline)
        guard let picture = ClusterPicture(document) else {
            throw .malformed("a picture of the cluster that is none", isWrite: false)
        }
        return picture
    }

    /// One shard, by number.
    public func shard(_ number: UInt64, deadline: Duration? = nil) async throws(KeysteadError) -> ShardDetail {
        let document = try await adminDocument("/v1/shards/\(number)", deadline: deadline)
        guard let shard = ClusterPicture.Shard(document) else {
            throw .malformed("a picture of a shard that is none", isWrite: false)
        }
        return ShardDetail(shard: shard, text: document)
    }

    /// Where an entity lives, whether or not it exists.
    public func location(of key: EntityKey, deadline: Duration? = nil) async throws(KeysteadError) -> EntityLocation {
        let document = try await adminDocument("/v1/where/\(key.path)", deadline: deadline)
        guard let shard = document.member("shard")?.unsigned, let node = document.member("node")?.plainText,
            let epoch = document.member("epoch")?.unsigned
        else { throw .malformed("a place that is none", isWrite: false) }
        return EntityLocation(shard: shard, node: node, epoch: epoch, text: document)
    }

    /// Whether the admin endpoint's node takes requests.
    public func readiness(deadline: Duration? = nil) async throws(KeysteadError) -> Readiness {
        let request = OutgoingRequest(method: .GET, path: "/readyz", isWrite: false, accepts: [503])
        let limit = deadline ?? configuration.adminDeadline
        let answer = try await call(request, to: admin, repetition: .harmless, deadline: limit).answer
        let reasons = JSONText(answer.body)?.member("reasons")?.elements.compactMap(\.plainText) ?? []
        return Readiness(isReady: answer.isSuccess, reasons: reasons)
    }

    func adminDocument(_ path: String, deadline: Duration?) async throws(KeysteadError) -> JSONText {
        try await adminDocument(OutgoingRequest(method: .GET, path: path, isWrite: false), deadline: deadline)
    }

    /// - Parameter request: harmless if sent twice, as every admin request is.
    func adminDocument(_ request: OutgoingRequest, deadline: Duration?) async throws(KeysteadError) -> JSONText {
        let limit = deadline ?? configuration.adminDeadline
        let answer = try await call(request, to: admin, repetition: .harmless, deadline: limit).answer
        guard let document = JSONText(answer.body), document.kind == .object else {
            throw .malformed(
                "\(request.path) did not answer a JSON object", isWrite: request.isWrite, status: answer.status)
        }
        return document
    }
}
