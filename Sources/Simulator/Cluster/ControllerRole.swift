import ClusterCore
import Primitives

/// The elected controller, as a role of a node: it stands for the seat, and while it has it, it runs what a look at the
/// map asks for.
final class ControllerRole {
    private unowned let agent: NodeAgent
    private var isActing = false

    init(agent: NodeAgent) { self.agent = agent }

    func observe(_ map: ClusterMap) {
        guard !isActing else { return }
        if let session = agent.sessionID, map.isAlive(agent.name),
            let candidacy = Controller.candidacy(of: agent.name, session: session, in: map)
        {
            return run([candidacy])
        }
        run(Controller.pass(map, as: agent.name, now: agent.node.now, mutants: agent.node.mutants))
    }

    /// One after the other, whatever becomes of the ones before.
    private func run(_ transactions: [MetadataTransaction]) {
        guard let first = transactions.first else { return isActing = false }
        isActing = true
        agent.metadata.transact(
            first,
            done: agent.loop { [self] _ in
                guard transactions.count > 1 else {
                    isActing = false
                    return agent.refresh { _ in }
                }
                run(Array(transactions.dropFirst()))
            })
    }
}
