/// A release of etcd, and whether it has the repairs that a cluster in production needs.
struct EtcdVersion: Comparable, CustomStringConvertible {
    let major: Int
    let minor: Int
    let patch: Int

    /// Reads `3.5.28`, and `3.6.0-rc.1` as the release that it leads to.
    init?(_ text: String) {
        let parts = text.prefix { $0 != "-" && $0 != "+" }.split(separator: ".").compactMap { Int($0) }
        guard parts.count == 3 else { return nil }
        (major, minor, patch) = (parts[0], parts[1], parts[2])
    }

    /// Since 3.4.42, 3.5.28 and 3.6.9 a linearizable read is not stale after the server was paused, a lease that was
    /// revoked is not renewed, and none is revoked too early (etcd's change logs).
    var isSound: Bool {
        switch (major, minor) {
        case (3, ..<4): false
        case (3, 4): patch >= 42
        case (3, 5): patch >= 28
        case (3, 6): patch >= 9
        default: major >= 3
        }
    }

    static func < (left: Self, right: Self) -> Bool {
        (left.major, left.minor, left.patch) < (right.major, right.minor, right.patch)
    }

    var description: String { "\(major).\(minor).\(patch)" }
}
