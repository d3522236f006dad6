import ClusterCore
import Entities
import HTTPFront
import HashRing
import Primitives

/// What a request to `/v1/admin/…` asks for.
enum AdminRoute {
    case plan
    case showPlan(PlanID)
    case dryDrain(NodeID)
    case dryRemove(NodeID)
    case showThrottle
    case command(AdminCommand)

    /// What is done to an operation.
    enum Verb: String {
        case pause
        case resume
        case cancel

        /// On the rebalance that is under way.
        var ofRebalance: AdminCommand {
            switch self {
            case .pause: .pauseRebalance
            case .resume: .resumeRebalance
            case .cancel: .cancelRebalance
            }
        }

        func command(on operation: OperationID) -> AdminCommand {
            switch self {
            case .pause: .pause(operation)
            case .resume: .resume(operation)
            case .cancel: .cancel(operation)
            }
        }
    }

    var method: String {
        switch self {
        case .plan, .showPlan, .showThrottle: "GET"
        case .dryDrain, .dryRemove, .command: "POST"
        }
    }

    /// The methods that its path answers.
    var allow: String {
        switch self {
        case .showThrottle: "GET, HEAD, POST"
        case .plan, .showPlan: "GET, HEAD"
        case .dryDrain, .dryRemove, .command: "POST"
        }
    }

    /// `nil` where there is no such path.
    ///
    /// - Throws: what is wrong with a name or value in it.
    init?(_ segments: [String], _ request: AdminRequest) throws(Problem) {
        let query = AdminQuery(request)
        switch (segments.first, segments.count) {
        case ("rebalance", 2) where segments[1] == "plan":
            try query.allow()
            self = .plan
        case ("rebalance", 2) where segments[1] == "commit":
            try query.allow("plan")
            self = .command(.commit(plan: try Self.plan(query.value("plan") ?? "")))
        case ("rebalance", 2):
            guard let verb = Verb(rawValue: segments[1]) else { return nil }
            try query.allow()
            self = .command(verb.ofRebalance)
        case ("rebalance", 3) where segments[1] == "plans":
            try query.allow()
            self = .showPlan(try Self.plan(segments[2]))
        case ("nodes", 3):
            guard let route = try Self.node(segments[1], segments[2], query) else { return nil }
            self = route
        case ("shards", 3) where segments[2] == "move":
            guard let number = StrictNumber.whole(segments[1]).flatMap(UInt32.init(exactly:)) else {
                throw Problem(.notFound, "there is no shard \(segments[1])")
            }
            try query.allow("to")
            self = .command(.move(ShardID(number), to: try Self.node(query.value("to") ?? "")))
        case ("operations", 3):
            guard let verb = Verb(rawValue: segments[2]) else { return nil }
            guard let id = OperationID(segments[1]) else {
                throw Problem(.notFound, "there is no operation \(segments[1])")
            }
            try query.allow()
            self = .command(verb.command(on: id))
        case ("throttle", 1) where request.method != "POST":
            try query.allow()
            self = .showThrottle
        case ("throttle", 1):
            try query.allow("bytes-per-second")
            guard let rate = query.value("bytes-per-second").flatMap(StrictNumber.whole) else {
                throw Problem(.badRequest, "bytes-per-second must be a whole number; 0 is no limit")
            }
            self = .command(.throttle(bytesPerSecond: rate))
        default: return nil
        }
    }

    private static func node(_ name: String, _ verb: String, _ query: AdminQuery) throws(Problem) -> AdminRoute? {
        let id = try node(name)
        switch verb {
        case "cordon":
            try query.allow()
            return .command(.cordon(id))
        case "uncordon":
            try query.allow()
            return .command(.uncordon(id))
        case "drain":
            try query.allow("dry-run")
            return try query.flag("dry-run") ? .dryDrain(id) : .command(.drain(id))
        case "remove":
            try query.allow("dry-run")
            return try query.flag("dry-run") ? .dryRemove(id) : .command(.remove(id))
        case "weight":
            try query.allow("weight")
            guard let weight = query.value("weight").flatMap(StrictNumber.decimal),
                weight == 0 || (0.001...1000).contains(weight)
            else { throw Problem(.badRequest, "weight must be 0, or a number from 0.001 to 1000") }
            return .command(.weight(id, thousandths: UInt64((weight * 1000).rounded())))
        default: return nil
        }
    }

    private static func node(_ name: String) throws(Problem) -> NodeID {
        guard let id = NodeID(name) else { throw Problem(.notFound, "the cluster has no node '\(name)'") }
        return id
    }

    private static func plan(_ text: String) throws(Problem) -> PlanID {
        guard let plan = PlanID(text) else {
            throw Problem(.badRequest, "'\(text)' is no plan; `keysteadctl rebalance plan` makes one")
        }
        return plan
    }
}
