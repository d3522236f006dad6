/// How one call to etcd failed: what it may have done all the same, and what could help.
struct EtcdFailure: Error, Equatable {
    enum Effect {
        /// Surely nothing was changed.
        case none
        /// It may have been done, or be done later.
        case unknown
    }

    enum Remedy {
        /// Another endpoint, or the same one a little later.
        case elsewhere
        /// A new token of authentication.
        case newToken
        case nothing
    }

    let effect: Effect
    let remedy: Remedy
    let detail: String

    static let leaseNotFound = "etcdserver: requested lease not found"
    static let spaceExceeded = "etcdserver: mvcc: database space exceeded"
    static let compacted = "etcdserver: mvcc: required revision has been compacted"
    static let authenticationOff = "etcdserver: authentication is not enabled"
    static let tooLarge = ["etcdserver: request is too large", "etcdserver: too many operations in txn request"]

    /// What etcd said, without the endpoint's name.
    let message: String

    init(effect: Effect, remedy: Remedy, detail: String, message: String = "") {
        self.effect = effect
        self.remedy = remedy
        self.detail = detail
        self.message = message
    }

    static func notSent(_ detail: String) -> EtcdFailure {
        EtcdFailure(effect: .none, remedy: .elsewhere, detail: detail)
    }

    static func lost(_ detail: String) -> EtcdFailure {
        EtcdFailure(effect: .unknown, remedy: .elsewhere, detail: detail)
    }

    /// An error that an endpoint answered with.
    ///
    /// Only errors that etcd gives before it proposes a change, or by which it refuses to apply one, mean that nothing
    /// happened. Of the others, above all `request timed out` and `leader changed`, the change may still come. A store
    /// whose quota a change has filled applies that change and says ``spaceExceeded`` then.
    static func refused(code: Int, message: String, by endpoint: String) -> EtcdFailure {
        let detail = "\(endpoint) answered: \(message)"
        let (effect, remedy): (Effect, Remedy) =
            switch (code, message) {
            case (_, "etcdserver: no leader"), (_, "etcdserver: too many requests"): (.none, .elsewhere)
            case (_, spaceExceeded): (.unknown, .nothing)
            case (_, "etcdserver: invalid auth token"), (_, "etcdserver: user name is empty"),
                (_, "etcdserver: revision of auth store is old"):
                (.none, .newToken)
            case (3, _), (5, _), (6, _), (7, _), (8, _), (9, _), (11, _), (12, _), (16, _):
                message.hasPrefix("etcdserver:") ? (.none, .nothing) : (.unknown, .elsewhere)
            default: (.unknown, .elsewhere)
            }
        return EtcdFailure(effect: effect, remedy: remedy, detail: detail, message: message)
    }
}
