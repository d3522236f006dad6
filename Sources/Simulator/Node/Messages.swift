import Entities
import Primitives

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
}
