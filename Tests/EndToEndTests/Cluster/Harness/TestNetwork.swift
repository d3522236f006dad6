import Foundation
import Glibc
import Synchronization

/// A network of its own for each of some names: network namespaces that a bridge joins. The test itself is on the
/// bridge and reaches all of them. Cuts drop packets silently, as a broken switch does.
final class TestNetwork: Sendable {
    private let folder: String
    private let tag: String
    private let names: [String]
    private let subnet: Int

    /// - Parameter names: a few letters each.
    init(_ names: [String], in folder: String) throws {
        guard getuid() == 0 else {
            throw HarnessError("this test makes networks and must run as root; it must not be skipped")
        }
        self.folder = folder
        self.names = names
        tag = Self.tag(of: getpid())
        subnet = 16 + Int(getpid() % 200)
        try removeLeftovers()
        do {
            try build()
        } catch {
            remove()
            throw error
        }
    }

    private static let prefix = "ks"

    /// Names of network devices have 15 characters at most.
    private static func tag(of pid: pid_t) -> String { prefix + String(pid, radix: 36) }

    /// Takes away what test processes have left that were killed.
    private func removeLeftovers() throws {
        let result = try ChildProcess.run(try Programs.system("ip"), ["netns", "list"], in: folder)
        for line in result.output.split(separator: "\n") {
            let name = line.prefix { $0 != " " }
            guard name.hasPrefix(Self.prefix), let dash = name.firstIndex(of: "-"),
                let pid = pid_t(name[..<dash].dropFirst(Self.prefix.count), radix: 36), kill(pid, 0) != 0
            else { continue }
            try? ip("netns", "del", String(name))
            try? ip("link", "del", Self.tag(of: pid) + "br")
        }
    }

    private var bridge: String { "\(tag)br" }
    private func namespace(_ name: String) -> String { "\(tag)-\(name)" }
    private func outside(_ name: String) -> String { "\(tag)\(name)" }

    func address(_ name: String) -> String {
        guard let index = names.firstIndex(of: name) else { preconditionFailure("\(name) is in the network") }
        return "10.213.\(subnet).\(index + 10)"
    }

    /// Runs a program inside the network of a name, and becomes it.
    func launcher(_ name: String) throws -> [String] {
        [try Programs.system("ip"), "netns", "exec", namespace(name)]
    }

    private func ip(_ arguments: String...) throws {
        let result = try ChildProcess.run(try Programs.system("ip"), arguments, in: folder)
        guard result.ending == .exited(0) else {
            throw HarnessError("ip \(arguments.joined(separator: " ")) failed; this test needs it: \(result.errors)")
        }
    }

    private func build() throws {
        try ip("link", "add", bridge, "type", "bridge")
        try ip("addr", "add", "10.213.\(subnet).1/24", "dev", bridge)
        try ip("link", "set", bridge, "up")
        for name in names {
            let space = namespace(name)
            try ip("netns", "add", space)
            try ip("link", "add", outside(name), "type", "veth", "peer", "name", "eth0", "netns", space)
            try ip("link", "set", outside(name), "master", bridge, "up")
            try ip("-n", space, "link", "set", "lo", "up")
            try ip("-n", space, "addr", "add", "\(address(name))/24", "dev", "eth0")
            try ip("-n", space, "link", "set", "eth0", "up")
        }
    }

    // MARK: Cuts

    /// Nothing passes between two names any more: each believes the other at an address of the wire that nobody has.
    func cut(_ one: String, from other: String) throws {
        for (here, there) in [(one, other), (other, one)] {
            try ip(
                "-n", namespace(here), "neigh", "replace", address(there), "lladdr", "02:00:00:00:fe:fe", "dev",
                "eth0", "nud", "permanent")
        }
    }

    func heal(_ one: String, from other: String) throws {
        for (here, there) in [(one, other), (other, one)] {
            try ip("-n", namespace(here), "neigh", "del", address(there), "dev", "eth0")
        }
    }

    /// The plug is pulled: nothing reaches the name, and nothing comes from it.
    func unplug(_ name: String) throws { try ip("link", "set", outside(name), "down") }
    func plug(_ name: String) throws { try ip("link", "set", outside(name), "up") }

    /// Takes everything away. The processes inside must have ended.
    func remove() {
        for name in names {
            try? ip("link", "del", outside(name))
            try? ip("netns", "del", namespace(name))
        }
        try? ip("link", "del", bridge)
    }
}
