import ScriptedServer
import Synchronization

/// Gives reactions in order, the last of them forever.
final class Script: Sendable {
    private let rest: Mutex<[ScriptedServer.Reaction]>

    init(_ reactions: [ScriptedServer.Reaction]) { rest = Mutex(reactions) }

    func next() -> ScriptedServer.Reaction {
        rest.withLock { $0.count > 1 ? $0.removeFirst() : $0[0] }
    }
}
