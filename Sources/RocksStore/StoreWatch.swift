internal import CStoreShims

/// What stands between a store and its next flush or compaction.
public enum StoreTrouble: Sendable, Equatable {
    case none
    /// The disk was full. A flush tries to go on.
    case noSpace
    /// There was no file descriptor. A flush tries to go on.
    case noDescriptors
    /// The store makes nothing durable any more.
    case failed

    /// A flush that tries to go on may succeed.
    public var passes: Bool { self == .noSpace || self == .noDescriptors }
}

/// Hears of one store's background errors, and outlives the store.
///
/// SAFETY (`@unchecked Sendable`): the handle is set once; what is behind it is one atomic number.
final class StoreWatch: @unchecked Sendable {
    let handle: OpaquePointer

    init() { handle = ks_store_watch_create() }

    deinit { ks_store_watch_destroy(handle) }

    var trouble: StoreTrouble {
        switch Int(ks_store_watch_trouble(handle)) {
        case KS_TROUBLE_NONE: .none
        case KS_TROUBLE_NO_SPACE: .noSpace
        case KS_TROUBLE_NO_DESCRIPTORS: .noDescriptors
        default: .failed
        }
    }
}
