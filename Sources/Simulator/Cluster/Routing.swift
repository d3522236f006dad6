import ClusterCore
import Entities
import HashRing
import Primitives

/// One line of a client's request on its way from the node that was asked.
final class RoutedLine {
    let pending: PendingRequest
    let index: Int
    let line: Line
    var route: RequestRoute
    /// The next line of the same request on the same entity: it begins when this one has ended.
    var next: RoutedLine?

    init(_ pending: PendingRequest, _ index: Int, _ line: Line, _ route: RequestRoute) {
        self.pending = pending
        self.index = index
        self.line = line
        self.route = route
    }
}

extension NodeAgent {
    /// Takes a line of a client's request. Lines on one entity go one after the other: on two ways they could overtake
    /// each other.
    func route(_ line: Line, _ index: Int, _ pending: PendingRequest) {
        let routed = RoutedLine(
            pending, index, line,
            RequestRoute(
                node: name, isForwarded: false, isWrite: line.isWrite, mayRepeat: line.mayRepeat,
                deadline: now.adding(nanoseconds: node.options.timeoutNanoseconds), mutants: node.mutants))
        let before = pending.lastLines.updateValue(.init(line: routed), forKey: line.key)?.line
        if let before, pending.answers[before.index] == nil {
            before.next = routed
        } else {
            advance(routed)
        }
    }

    /// The owner, this node or another, has answered.
    func answered(_ routed: RoutedLine, _ answer: Answer) {
        guard let answer = routed.route.answered(answer, now: now) else { return advance(routed) }
        end(routed, answer)
    }

    private func end(_ routed: RoutedLine, _ answer: Answer) {
        node.settle(routed.pending, routed.index, answer)
        if let next = routed.next { advance(next) }
    }

    private func refuse(_ routed: RoutedLine, _ problem: Problem) {
        if problem.code == .outcomeUnknown { world.probes.reached(.forwardLost) }
        end(routed, .refused(problem, currentVersion: nil, nil))
    }

    /// Takes the next step of the line's way.
    private func advance(_ routed: RoutedLine) {
        let shard = node.audit.shardOf(routed.line.key)
        let owner = map?.shards[Int(shard.rawValue)].primary
        switch routed.route.next(owner: owner, now: now) {
        case .execute:
            guard node.state == .serving else {
                // The route decides: after an attempt whose answer was lost, this says nothing of that one.
                let problem = Problem(.shuttingDown, "the node is stopping; try again")
                return answered(routed, .refused(problem, currentVersion: nil, nil))
            }
            guard let held = node.shard(shard) else {
                routed.route.notYet(now: now)
                return advance(routed)
            }
            node.execute(routed.line, for: .routed(routed), on: held)
            node.pump()
        case .forward(let other): forward(routed, to: other)
        case .answerNotOwner: world.fail(.oneHop, "a client's request is answered as a forwarded one")
        case .readMap: refresh { [self] _ in advance(routed) }
        case .pause(let until):
            node.schedule(after: max(until.nanoseconds(since: now), Span.microsecond)) { [self] in advance(routed) }
        case .refuse(let problem): refuse(routed, problem)
        }
    }

    private func forward(_ routed: RoutedLine, to other: NodeID) {
        guard let endpoint = endpoints[other] else { return world.fail(.oneHop, "nobody is called \(other)") }
        lastRequest += 1
        let number = lastRequest
        if isDown(other), node.random.chance(1, in: 2) {
            // The connection is refused: that is certain.
            return node.schedule(after: Span.millisecond) { [self] in
                routed.route.notSent("the connection is refused", now: now)
                advance(routed)
            }
        }
        world.probes.reached(.forwarded)
        forwards[number] = routed
        let milliseconds = node.options.timeoutNanoseconds / Span.millisecond
        node.send(.peer(.forward(number, routed.line, milliseconds: milliseconds, hops: 1), from: node.index), endpoint)
        node.schedule(after: node.options.timeoutNanoseconds / 2) { [self] in
            guard forwards.removeValue(forKey: number) != nil else { return }
            routed.route.answerLost("no answer came in time", now: now)
            advance(routed)
        }
    }

    /// The shard has gone elsewhere before the request was evaluated.
    func sendOn(_ target: ReplyTarget) {
        switch target {
        case .line: world.fail(.oneHop, "a request of a node that is alone cannot be sent on")
        case .routed(let routed):
            world.probes.reached(.sentOn)
            routed.route.notYet(now: now)
            advance(routed)
        case .peer(let asker, let request, _):
            world.probes.reached(.sentOn)
            node.send(.peer(.notOwner(request), from: node.index), asker)
        }
    }

    // MARK: What other nodes say

    func receive(_ message: PeerMessage, from: Endpoint) {
        switch message {
        case .forward(let number, let line, let milliseconds, let hops):
            takeForwarded(number, line, milliseconds, hops, from)
        case .answer(let number, let answer):
            guard let routed = forwards.removeValue(forKey: number) else { return }
            answered(routed, answer)
        case .notOwner(let number):
            guard let routed = forwards.removeValue(forKey: number) else { return }
            world.probes.reached(.notOwner)
            routed.route.notOwner(now: now)
            advance(routed)
        default: receiveMove(message, from: from)
        }
        node.pump()
    }

    private func takeForwarded(
        _ number: UInt64, _ line: Line, _ milliseconds: UInt64, _ hops: Int, _ asker: Endpoint
    ) {
        guard hops == 1 else {
            return world.fail(.oneHop, "\(line.summary) came to node \(name) over \(hops) hops")
        }
        let shard = node.audit.shardOf(line.key)
        var route = RequestRoute(
            node: name, isForwarded: true, isWrite: line.isWrite, mayRepeat: line.mayRepeat,
            deadline: now.adding(nanoseconds: milliseconds * Span.millisecond), mutants: node.mutants)
        let step = route.next(owner: map?.shards[Int(shard.rawValue)].primary, now: now)
        if case .execute = step, node.state == .serving, let held = node.shard(shard) {
            node.execute(line, for: .peer(asker, request: number, line), on: held)
        } else if case .forward(let other) = step, let endpoint = endpoints[other] {
            node.send(
                .peer(.forward(number, line, milliseconds: milliseconds, hops: hops + 1), from: node.index), endpoint)
        } else {
            node.send(.peer(.notOwner(number), from: node.index), asker)
        }
    }
}

extension Line {
    var isWrite: Bool { if case .write = self { true } else { false } }
}
