internal import Entities
internal import NIOCore
internal import Primitives
internal import Serving

/// What the front decided about a request when its head had been read.
enum Admission {
    /// Refused by the head alone.
    case refuse(Refusal, HTTPCounters.Route)
    /// To be run once its body, of at most `bodyBytesMax` bytes, is there.
    case run(Work, HTTPCounters.Route, bodyBytesMax: Int)
    /// A stream of operations.
    case batch(any EntityBackend)
}

/// A refusal with the fields that its status calls for.
struct Refusal {
    var problem: Problem
    var position: ShardPosition?
    /// Of a 412, where the entity exists.
    var currentVersion: Position?
    /// Of a 405.
    var allow: StaticString?

    init(
        _ problem: Problem, position: ShardPosition? = nil, currentVersion: Position? = nil,
        allow: StaticString? = nil
    ) {
        self.problem = problem
        self.position = problem.code.hasPosition ? position : nil
        self.currentVersion = currentVersion
        self.allow = allow
    }
}

/// An admitted request that waits for its body.
enum Work {
    case read(ReadRequest)
    case write(WriteDraft)
    case list(ListRequest, ListShape)
    case admin(AdminRequest)

    var key: EntityKey? {
        switch self {
        case .read(let request): request.key
        case .write(let draft): draft.key
        case .list, .admin: nil
        }
    }

    /// The same, answered after the writes that its entity's queue already holds, where it is a read of an entity.
    var inQueueOrder: Work {
        guard case .read(let request) = self, case .entity = request.kind else { return self }
        return .read(ReadRequest(key: request.key, kind: request.kind, inQueueOrder: true))
    }

    var isWrite: Bool {
        switch self {
        case .write: true
        case .read, .list: false
        case .admin(let request): request.method != "GET"
        }
    }
}

/// How a page is to be shown.
struct ListShape {
    var withValues: Bool
    /// `require=full`
    var mustBeFull: Bool
    /// Of the cluster's ring: a page that ends early says where in ring order.
    var ringSeed: UInt64

    var renderer: JSONPageRenderer { JSONPageRenderer(withValues: withValues, ringSeed: ringSeed) }
}

/// A write whose body has not come yet.
struct WriteDraft {
    enum Kind {
        case put(contentType: [UInt8], ttlSeconds: UInt64?)
        case patch(PatchKind)
        case delete
    }

    let key: EntityKey
    let kind: Kind
    let preconditions: Preconditions
    let idempotencyKey: [UInt8]?
    let wantsRepresentation: Bool

    consuming func operation(body: consuming [UInt8]) -> WriteOperation {
        let action: WriteOperation.Action =
            switch kind {
            case .put(let contentType, let ttlSeconds):
                .put(state: body, contentType: contentType, ttlSeconds: ttlSeconds)
            case .patch(let patch): .patch(patch, document: body)
            case .delete: .delete
            }
        return WriteOperation(
            key: key, action: action, preconditions: preconditions, idempotencyKey: idempotencyKey,
            wantsRepresentation: wantsRepresentation)
    }
}

/// One request from the moment it was run (or refused) until its answer is written: a slot in the connection's order.
///
/// A class, since the queue's elements are looked at and passed on many times for each request, and a copy of all this
/// costs more than one allocation.
final class Exchange {
    let route: HTTPCounters.Route
    /// The answer has no body, whatever its head says.
    let isHead: Bool
    let isOldVersion: Bool
    /// The allowed origin that asks.
    let origin: DoorPolicy.OriginMark?
    let key: EntityKey?
    let isWrite: Bool
    let listShape: ListShape?
    let startedAt: NIODeadline
    /// What it counts for in the connection's bytes in flight.
    let byteCount: Int
    /// What of the loop's account it holds.
    var charge: Int
    /// What its answer holds, or is taken to hold until it is there.
    var answerBytes: Int
    /// Held until the requests before it have been answered.
    var reply: Reply?

    init(
        route: HTTPCounters.Route, isHead: Bool, isOldVersion: Bool, origin: DoorPolicy.OriginMark?, key: EntityKey?,
        isWrite: Bool, listShape: ListShape?, startedAt: NIODeadline, byteCount: Int, charge: Int, answerBytes: Int
    ) {
        self.route = route
        self.isHead = isHead
        self.isOldVersion = isOldVersion
        self.origin = origin
        self.key = key
        self.isWrite = isWrite
        self.listShape = listShape
        self.startedAt = startedAt
        self.byteCount = byteCount
        self.charge = charge
        self.answerBytes = answerBytes
    }

    /// Its answer waits for those before it.
    var isAnswered: Bool { reply != nil }
}

enum Reply {
    case answer(Answer)
    case refusal(Refusal)
    case plain(AdminResponse)
    /// Yes to a browser that asks what a page of an allowed origin may send.
    case preflight
}

/// The connection as the services see it.
protocol ConnectionSink: ReplySink {
    var eventLoop: any EventLoop { get }

    func deliver(_ response: AdminResponse, slot: UInt64)
}

/// What stands behind a listener: decides about heads, and runs what it admitted. Called on the connection's loop.
protocol RequestService: AnyObject, Sendable {
    func admit(_ head: RequestHead, _ loop: LoopContext) -> Admission

    /// As ``EntityBackend/requestsMayOvertake``.
    var requestsMayOvertake: Bool { get }

    /// Answered exactly once through `sink`, as ``EntityBackend`` says.
    func run(_ work: consuming Work, body: consuming [UInt8], replyTo sink: any ConnectionSink, slot: UInt64)

    /// The connection has closed, with work of long duration under way.
    func callerLeft(_ sink: any ConnectionSink)

    /// As ``EntityBackend/expectedAnswerBytes(of:)``.
    func expectedAnswerBytes(of key: EntityKey) -> Int?

    /// For a refusal that the connection makes by itself.
    func position(of key: EntityKey) -> ShardPosition?
}
