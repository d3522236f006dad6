import Entities

extension PeerRequest {
    /// Whether it is one that small reads' share of memory is kept for.
    public var isRead: Bool {
        switch self {
        case .read: true
        case .write, .list, .moveOpen, .moveFetch, .movePull, .moveClose, .moveProgress, .shards: false
        }
    }
}

extension PeerResponse {
    /// Whether a refusal may be given in its place: nothing was done, and whoever asked may ask again. What moves send
    /// has bounds of its own, and always goes.
    public var isRefusable: Bool {
        switch self {
        case .answer(.found), .answer(.page): true
        case .answer, .notOwner, .refused, .manifest, .chunk, .records, .progress, .closed, .shards: false
        }
    }
}
