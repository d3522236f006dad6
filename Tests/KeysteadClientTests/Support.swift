import ScriptedServer

@testable import KeysteadClient

let alice = EntityKey(kind: "user", id: "alice")

/// A configuration whose waits do not slow a test down, and whose deadlines a loaded machine does not reach.
var hasty: ClientConfiguration {
    var configuration = ClientConfiguration()
    configuration.deadline = .seconds(120)
    configuration.adminDeadline = .seconds(120)
    configuration.adminAttemptDeadline = .seconds(60)
    configuration.attemptDeadline = .seconds(60)
    configuration.retries.backoffMin = .milliseconds(1)
    configuration.retries.backoffMax = .milliseconds(2)
    configuration.avoidance.min = .seconds(600)
    configuration.avoidance.max = .seconds(600)
    // So that a script sees the requests of its test and no others.
    configuration.routesByMap = false
    return configuration
}

/// A problem document as the server writes it.
func problem(_ code: String, applied: String = "no", retry: String = "never") -> String {
    #"{"type":"urn:keystead:error:\#(code)","title":"T","status":1,"detail":"D","#
        + #""applied":"\#(applied)","retry":"\#(retry)"}"#
}

/// What a call threw; `nil` where it did not.
func failure(of call: () async throws(KeysteadError) -> Void) async -> KeysteadError? {
    do {
        try await call()
        return nil
    } catch {
        return error
    }
}

/// Runs `body` with a client of a server that answers its requests, in order, with `reactions`, the last of them
/// forever.
func withServer(
    _ reactions: [ScriptedServer.Reaction], configuration: ClientConfiguration = hasty,
    _ body: (Keystead, ScriptedServer) async throws -> Void
) async throws {
    let script = Script(reactions)
    try await ScriptedServer.run({ _ in script.next() }) { server in
        try await Keystead.withClient(
            endpoints: [server.url], adminEndpoints: [server.url], configuration: configuration
        ) { try await body($0, server) }
    }
}
