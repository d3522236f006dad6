import NIOHTTP1

/// Administration, through whichever admin endpoint answers.
///
/// Every verb says what shall be so. Sent a second time it joins what the first began, so the client sends it again
/// where an answer was lost. Where it gives up then, the error says `applied: .unknown`.
///
/// Codes of their own: ``KeysteadError/Code/refused`` (`detail` says what, why and what to do instead),
/// ``KeysteadError/Code/stalePlan``, ``KeysteadError/Code/concurrentChange``,
/// ``KeysteadError/Code/metadataUnavailable``.
extension Keystead {
    /// The plan that would even the shards out over the nodes. It changes nothing.
    public func rebalancePlan(deadline: Duration? = nil) async throws(KeysteadError) -> PlanDetail {
        try plan(await adminDocument("/v1/admin/rebalance/plan", deadline: deadline))
    }

    /// The plan of that id, if it still is the plan of now; else ``KeysteadError/Code/stalePlan``.
    public func rebalancePlan(_ id: String, deadline: Duration? = nil) async throws(KeysteadError) -> PlanDetail {
        try plan(await adminDocument("/v1/admin/rebalance/plans/\(percentEncoded(id))", deadline: deadline))
    }

    /// Begins to carry out a plan, or joins the operation that does or did.
    public func commitPlan(_ id: String, deadline: Duration? = nil) async throws(KeysteadError) -> AdminOutcome {
        try outcome(await post("rebalance/commit?plan=\(percentEncoded(id))", deadline: deadline))
    }

    /// What may be done to an operation, or to the rebalance that is running.
    public enum OperationVerb: String, Sendable, CaseIterable {
        /// Moves under way go on to their end; no further one begins.
        case pause
        case resume
        /// Moves that have not been handed over are undone; what has moved stays.
        case cancel
    }

    public func rebalance(
        _ verb: OperationVerb, deadline: Duration? = nil
    ) async throws(KeysteadError) -> OperationDetail {
        try operation(await post("rebalance/\(verb.rawValue)", deadline: deadline))
    }

    /// A cordoned node keeps what it has and gets nothing new.
    public func cordon(node: String, deadline: Duration? = nil) async throws(KeysteadError) -> NodeChange {
        try change(await post("nodes/\(percentEncoded(node))/cordon", deadline: deadline))
    }

    /// Undoes a cordon or a drain.
    public func uncordon(node: String, deadline: Duration? = nil) async throws(KeysteadError) -> NodeChange {
        try change(await post("nodes/\(percentEncoded(node))/uncordon", deadline: deadline))
    }

    /// Moves every shard away from a node.
    public func drain(node: String, deadline: Duration? = nil) async throws(KeysteadError) -> AdminOutcome {
        try outcome(await post("nodes/\(percentEncoded(node))/drain", deadline: deadline))
    }

    /// What a drain would do. It changes nothing.
    public func drainPlan(node: String, deadline: Duration? = nil) async throws(KeysteadError) -> PlanDetail {
        try plan(await post("nodes/\(percentEncoded(node))/drain?dry-run=true", deadline: deadline))
    }

    /// Takes a node that holds no shard out of the cluster for good.
    public func remove(node: String, deadline: Duration? = nil) async throws(KeysteadError) -> AdminOutcome {
        try outcome(await post("nodes/\(percentEncoded(node))/remove", deadline: deadline))
    }

    /// Asks whether a node could be removed. It changes nothing; a refusal says why not.
    public func checkRemoval(node: String, deadline: Duration? = nil) async throws(KeysteadError) {
        _ = try await post("nodes/\(percentEncoded(node))/remove?dry-run=true", deadline: deadline)
    }

    /// Gives a node another share of the shards. None moves before a rebalance.
    ///
    /// - Parameter weight: a decimal number, 0 to 1000.
    public func setWeight(
        _ weight: String, ofNode node: String, deadline: Duration? = nil
    ) async throws(KeysteadError) -> AdminOutcome {
        let path = "nodes/\(percentEncoded(node))/weight?weight=\(percentEncoded(weight))"
        return try outcome(await post(path, deadline: deadline))
    }

    /// Moves one shard.
    public func move(
        shard: UInt64, to node: String, deadline: Duration? = nil
    ) async throws(KeysteadError) -> AdminOutcome {
        try outcome(await post("shards/\(shard)/move?to=\(percentEncoded(node))", deadline: deadline))
    }

    public func operation(_ id: String, deadline: Duration? = nil) async throws(KeysteadError) -> OperationDetail {
        try operation(await adminDocument("/v1/operations/\(percentEncoded(id))", deadline: deadline))
    }

    public func operation(
        _ id: String, _ verb: OperationVerb, deadline: Duration? = nil
    ) async throws(KeysteadError) -> OperationDetail {
        try operation(await post("operations/\(percentEncoded(id))/\(verb.rawValue)", deadline: deadline))
    }

    /// What operations made from here on may copy in a second; 0 is unlimited.
    public func throttle(deadline: Duration? = nil) async throws(KeysteadError) -> UInt64 {
        try throttle(await adminDocument("/v1/admin/throttle", deadline: deadline))
    }

    public func setThrottle(
        bytesPerSecond: UInt64, deadline: Duration? = nil
    ) async throws(KeysteadError) -> UInt64 {
        try throttle(await post("throttle?bytes-per-second=\(bytesPerSecond)", deadline: deadline))
    }

    private func post(_ path: String, deadline: Duration?) async throws(KeysteadError) -> JSONText {
        let request = OutgoingRequest(method: .POST, path: "/v1/admin/\(path)", isWrite: true)
        return try await adminDocument(request, deadline: deadline)
    }

    private func plan(_ document: JSONText) throws(KeysteadError) -> PlanDetail {
        guard let plan = PlanDetail(document) else { throw .malformed("a plan that is none", isWrite: false) }
        return plan
    }

    private func operation(_ document: JSONText) throws(KeysteadError) -> OperationDetail {
        guard let operation = OperationDetail(document) else {
            throw .malformed("an operation that is none", isWrite: true)
        }
        return operation
    }

    private func outcome(_ document: JSONText) throws(KeysteadError) -> AdminOutcome {
        if document.member("changed")?.bool == false {
            return .nothingToDo(Unchanged(note: document.member("note")?.plainText ?? "", text: document))
        }
        return .operation(try operation(document))
    }

    private func change(_ document: JSONText) throws(KeysteadError) -> NodeChange {
        guard let changed = document.member("changed")?.bool else {
            throw .malformed("an answer that does not say what changed", isWrite: true)
        }
        return NodeChange(changed: changed, text: document)
    }

    private func throttle(_ document: JSONText) throws(KeysteadError) -> UInt64 {
        guard let rate = document.member("bytes-per-second")?.unsigned else {
            throw .malformed("a throttle that is none", isWrite: true)
        }
        return rate
    }
}
