import Testing

/// Several nodes that are one store: real processes on a real etcd, found only through what the outside contract
/// promises. One test after the other, since each keeps the machine busy.
@Suite(.serialized) struct Cluster {
    /// What every load and every fault is drawn from.
    static let seed = UInt64(Programs.setting("KEYSTEAD_SEED", default: 1))
}
