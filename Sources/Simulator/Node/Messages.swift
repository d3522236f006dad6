import Entities
import Primitives
import ShardCore

/// One operation of a client: alone in a request, or a line of a batch.
enum Line {
    case write(WriteOperation)
    case read(ReadRequest)

    var key: EntityKey {
        switch self {
        case .write(let operation): operation.key
        case .read(let request): request.key
        }
    }

    /// May reach the node twice without harm.
    var mayRepeat: Bool {
        switch self {
        case .write(let operation): operation.idempotencyKey != nil
        case .read: true
        }
    }
}

/// What a client sends. The lines of a batch are answered together, in order.
struct Request {
    enum Body {
        case lines([Line])
        case list(ListRequest)
    }

    let body: Body
    let client: Endpoint
    /// The client's number for this attempt.
    let attempt: UInt64
    /// Where the operations stand in the history; parallel to the lines.
    let operations: [Int]
}

struct Reply {
    let attempt: UInt64
    /// One a line; one page for a list.
    let answers: [Answer]
}

enum Message {
    case request(Request)
    case reply(Reply)
    /// From node to node.
    case peer(PeerMessage, from: Int)
}

/// What nodes say to each other. A number ties an answer to what it answers; it is the asker's.
enum PeerMessage {
    case forward(UInt64, Line, milliseconds: UInt64, hops: Int)
    case answer(UInt64, Answer)
    case notOwner(UInt64)

    case moveOpen(UInt64, ShardID, MoveSession)
    case moveFetch(UInt64, ShardID, MoveSession, file: Int, offset: UInt64, length: Int)
    case movePull(UInt64, ShardID, MoveSession, after: Position, durable: Position, bytesMax: Int, wait: UInt64)
    case opened(UInt64, MoveOpenAnswer)
    case chunk(UInt64, [UInt8], crc: UInt32)
    case pulled(UInt64, MovePullAnswer)
    /// The session, its file or the move is not known.
    case restart(UInt64)
    /// Not now; ask again.
    case refused(UInt64)
}
