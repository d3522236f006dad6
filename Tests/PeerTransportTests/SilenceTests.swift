import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import PeerWire
import Testing

@testable import PeerTransport

/// A peer that takes everything and answers nothing, as a stopped process does.
@Suite(.timeLimit(.minutes(2))) struct SilenceTests {
    private let idle = PeerPace(ping: 100, patience: 200)
    private let awaited = PeerPace(ping: 10, patience: 30)

    @Test func anIdleConnectionIsPingedSeldomAndGivenUpLate() {
        var silence = PeerSilence()
        var steps: [Int: PeerSilence.Step] = [:]
        for sweep in 1...400 {
            let step = silence.sweep(idle)
            if step != .wait { steps[sweep] = step }
            if step == .giveUp { break }
        }
        #expect(steps == [100: .ping(1), 200: .ping(2), 300: .giveUp])
    }

    @Test func whereSomebodyWaitsItIsSoonKnown() {
        var silence = PeerSilence()
        var end: Int?
        for sweep in 1...100 where end == nil { if silence.sweep(awaited) == .giveUp { end = sweep } }
        #expect(end == 40)
        // Silent for a while already, and nobody cared: the question comes at once.
        silence = PeerSilence()
        for _ in 0..<90 { #expect(silence.sweep(idle) == .wait) }
        #expect(silence.sweep(awaited) == .ping(1))
        for _ in 0..<29 { #expect(silence.sweep(awaited) != .giveUp) }
        #expect(silence.sweep(awaited) == .giveUp)
    }

    /// Requests that come while the peer hangs are told so without the patience of a first connection, and the first
    /// one after it has answered goes through.
    @Test func aHangingPeerHoldsNobodyUpAndIsBackAtOnce() async throws {
        var options = PeerOptions.patient()
        options.awaitedPingInterval = .milliseconds(50)
        options.awaitedSilence = .milliseconds(150)
        options.reconnectWait = .milliseconds(50)
        try await withClient(options: options) { client, group in
            let peer = HangingPeer()
            let (channel, address) = try await rawServer(group) { peer.take($0, $1) }
            #expect(await client.ask(Cluster.numbered(1), address, on: group.next()).number == 5)
            peer.hang()
            #expect(await client.ask(Cluster.numbered(2), address, on: group.next()).lostText != nil)
            #expect(client.isUnreachable(Cluster.node("server")))
            // The handshake may take a minute, and these do not wait for it.
            for number in 3..<8 {
                #expect(await client.ask(Cluster.numbered(number), address, on: group.next()).notSentText != nil)
            }
            peer.goOn()
            try await eventually { await client.ask(Cluster.numbered(8), address, on: group.next()).number == 5 }
            #expect(!client.isUnreachable(Cluster.node("server")))
            try await channel.close()
        }
    }

    /// An answer about another shard, or to another question, counts as lost.
    @Test func answersToOtherQuestionsAreLost() async throws {
        let wrong: [PeerResponse] = [.closed, .progress([]), .chunk(bytes: [1], checksum: 1)]
        for response in wrong {
            try await withPair(ScriptedService { _, _, reply in reply.send(response) }) { client, server, group in
                let outcome = await client.ask(Cluster.numbered(1), server.address("server"), on: group.next())
                #expect(outcome.lostText?.contains("another question") == true, "\(outcome)")
            }
        }
    }
}

/// Answers what it is asked, but for a while, whose questions it answers afterwards.
private final class HangingPeer: Sendable {
    private struct State {
        var isHanging = false
        var held: [(frame: RawHandler.Frame, channel: any Channel)] = []
    }

    private let state = NIOLockedValueBox(State())

    func take(_ frame: RawHandler.Frame, _ channel: any Channel) {
        let isHeld = state.withLockedValue { state in
            if state.isHanging { state.held.append((frame, channel)) }
            return state.isHanging
        }
        if !isHeld { Self.answer(frame, channel) }
    }

    func hang() { state.withLockedValue { $0.isHanging = true } }

    func goOn() {
        let held = state.withLockedValue { state in
            defer { state = State() }
            return state.held
        }
        for (frame, channel) in held { Self.answer(frame, channel) }
    }

    private static func answer(_ frame: RawHandler.Frame, _ channel: any Channel) {
        switch frame.type {
        case 1: channel.say(PeerControl.hello(Cluster.hello("server")).frame(id: 0))
        case 3: channel.say(PeerControl.pong.frame(id: frame.id))
        default: channel.say(PeerResponse.notOwner(mapRevision: 5).frame(id: frame.id))
        }
    }
}
