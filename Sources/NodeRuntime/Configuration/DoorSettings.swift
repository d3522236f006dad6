import HTTPFront

extension NodeConfiguration {
    /// Whom the client and admin listeners serve. Both go by all names of the node.
    var door: DoorPolicy {
        let names = [listen, adminListen, advertise, advertiseAdmin].compactMap { $0?.host } + hosts
        return DoorPolicy(
            hosts: hosts.contains("*") ? .any : .names(names),
            allowedOrigins: allowedOrigins.compactMap { WebOrigin($0) })
    }

    static var allowedOriginsMax: Int { DoorPolicy.allowedOriginsMax }

    /// Whether `text` names an origin that may be allowed.
    static func isOrigin(_ text: String) -> Bool { WebOrigin(text) != nil }
}
