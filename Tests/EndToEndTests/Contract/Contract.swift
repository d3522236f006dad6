import Foundation
import Synchronization
import Testing

/// The outside contract, line by line, against a real node over real sockets.
@Suite struct Contract {}

/// The node that the tests of the contract share. Each test keeps to kinds of its own.
enum SharedNode {
    private static let node = Result {
        let folder = try TestFolder("contract")
        let node = TestNode(in: folder.path, flags: [])
        try node.start()
        return node
    }

    static func get() throws -> TestNode { try node.get() }
    static func client() throws -> EntityClient { try node.get().client() }
    static func connect() throws -> RawConnection { try node.get().connect() }

    private static let kinds = Mutex(0)

    /// A kind that no other test uses.
    static func freshKind(_ name: String = "t") -> String {
        kinds.withLock { kinds in
            kinds += 1
            return "\(name)-\(kinds)"
        }
    }
}
