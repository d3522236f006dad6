import ArgumentParser
import KeysteadClient

/// How data is shown.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case table
    case json
}

/// `--output`, of every command that prints data.
struct OutputOptions: ParsableArguments {
    @Option(name: .long, help: "How data is shown.")
    var output: OutputFormat = .table
}

/// `--endpoint` and `--admin`: flags over environment over defaults.
struct Connection: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "A node's data listener; any node will do, several are tried in turn. "
                + "Else $KEYSTEAD_ENDPOINT (separated by commas), else http://127.0.0.1:7070.", valueName: "url"))
    var endpoint: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "A node's admin listener; any node will do, several are tried in turn. "
                + "Else $KEYSTEAD_ADMIN (separated by commas), else http://127.0.0.1:7071.", valueName: "url"))
    var admin: [String] = []

    func validate() throws {
        for url in endpoint + admin { try check(url, from: "the flag") }
    }

    /// What is known of the time that a verb's answers about entities take.
    enum DataPatience {
        /// It changes entities: an answer that comes late is worth more than an unknown outcome.
        case ofWrites
        /// It reads one entity. A node answers that within Console.patience, if only that the owner does not.
        case ofOneRead
        /// Its answers may be large, so they take their time. The endpoint is asked beforehand whether it answers.
        case ofLargeAnswers
    }

    /// Makes a client for `body`, and turns its errors into exits.
    func withClient(
        _ configuration: ClientConfiguration = ClientConfiguration(), data: DataPatience = .ofWrites,
        _ body: (Keystead) async throws -> Void
    ) async throws {
        let endpoints = try endpoints()
        let admins = try resolve(admin, Console.current.environment["KEYSTEAD_ADMIN"], "http://127.0.0.1:7071")
        var configuration = configuration
        // One command makes few requests about single entities: a map would cost more than the hops that it saves.
        configuration.routesByMap = false
        // Somebody waits for this: a node that hangs is left for the next one, or given up, while they still look.
        configuration.connectDeadline = Self.connectPatience
        let patience = Console.current.patience
        configuration.adminAttemptDeadline = patience
        configuration.adminDeadline = patience * admins.count
        configuration.waitNoticeAfter = configuration.waitNoticeAfter * (patience / .seconds(5))
        if case .ofOneRead = data {
            configuration.attemptDeadline = patience
            configuration.deadline = patience * endpoints.count
        }
        let notice = WaitNotice()
        configuration.onWait = { notice.say(Self.text($0)) }
        try await Advice.$flags.withValue(Advice.Flags(admin: admin, endpoint: endpoint)) {
            try await Keystead.withClient(
                endpoints: endpoints, adminEndpoints: admins, configuration: configuration
            ) { client in
                if case .ofLargeAnswers = data {
                    _ = try await client.clusterID(deadline: patience * endpoints.count, attemptDeadline: patience)
                }
                try await body(client)
            }
        }
    }

    private static let connectPatience = Duration.seconds(2)

    private static func rounded(_ time: Duration) -> String { Format.time(time + .milliseconds(500)) }

    private static func text(_ wait: CallWait) -> String {
        switch wait {
        case .unanswered(let endpoint, let since, let left):
            "no answer from \(endpoint) for \(rounded(since)); waiting for \(rounded(left)) more"
        case .trying(let error, let left):
            "\(error.detail); trying again for \(rounded(left)) more"
        }
    }

    /// The same for a verb that changes the cluster: repeated, it joins what it began before.
    func withAdmin(_ body: (Keystead) async throws -> Void) async throws {
        try await withClient { client in
            do {
                try await body(client)
            } catch let error as KeysteadError {
                throw CommandFailure(
                    error,
                    ifUnknown: "the same command again joins what may have begun; \(Advice.cluster("op", "list")) "
                        + "shows what runs")
            }
        }
    }

    /// The same for a verb that writes one entity.
    func withWrite(of key: EntityKey, _ write: WriteArguments, _ body: (Keystead) async throws -> Void) async throws {
        try await withClient { client in
            do {
                try await body(client)
            } catch let error as KeysteadError {
                let look = Advice.data("get", key.description)
                throw CommandFailure(
                    error,
                    ifUnknown: write.idempotencyKey != nil
                        ? "the same command again cannot do it twice"
                        : "\(look) shows what is there; with --idempotency-key K a command can be repeated safely")
            }
        }
    }

    /// The parts of the endpoint that stands first.
    func firstEndpoint() throws -> EndpointParts { EndpointParts(try endpoints()[0]) }

    private func endpoints() throws -> [String] {
        try resolve(endpoint, Console.current.environment["KEYSTEAD_ENDPOINT"], "http://127.0.0.1:7070")
    }

    private func resolve(_ flags: [String], _ variable: String?, _ fallback: String) throws -> [String] {
        if !flags.isEmpty { return flags }
        let named = (variable ?? "").split(separator: ",").map { String($0.drop { $0 == " " }) }.filter { !$0.isEmpty }
        for url in named { try check(url, from: "the environment") }
        return named.isEmpty ? [fallback] : named
    }

    private func check(_ url: String, from place: String) throws {
        let authority = ["http://", "https://"].first { url.hasPrefix($0) }.map { url.dropFirst($0.count) }
        guard let authority, let first = authority.first, first != "/", first != ":",
            !url.contains(where: \.isWhitespace)
        else { throw ValidationError("'\(Format.printable(url))', from \(place), is no URL like http://HOST:PORT") }
        guard EndpointParts(url).hasSoundPort else {
            throw ValidationError("'\(Format.printable(url))', from \(place), has no port from 1 to 65535")
        }
    }
}

/// Scheme, host and port of a URL that has been checked: `http://HOST:PORT`, the host perhaps in brackets (IPv6).
struct EndpointParts: Equatable {
    let scheme: String
    let host: String?
    let port: Int?

    /// No port at all, or one that there can be.
    var hasSoundPort: Bool { !namesPort || port.map { (1...65_535).contains($0) } ?? false }
    /// Something stands where a port does.
    private let namesPort: Bool

    init(_ url: String) {
        let halves = url.split(separator: "://", maxSplits: 1)
        scheme = String(halves[0])
        let authority = (halves.count > 1 ? halves[1] : "").prefix { $0 != "/" }
        let end = authority.lastIndex(of: "]") ?? authority.startIndex
        let colon = authority[end...].lastIndex(of: ":") ?? authority.endIndex
        let name = authority[..<colon].filter { $0 != "[" && $0 != "]" }
        host = name.isEmpty ? nil : String(name)
        namesPort = colon < authority.endIndex
        port = namesPort ? Int(authority[authority.index(after: colon)...]) : nil
    }
}

/// `KIND/ID` on a command line.
struct KeyArgument: ExpressibleByArgument {
    let key: EntityKey

    init?(argument: String) {
        guard let key = EntityKey(argument) else { return nil }
        self.key = key
    }
}

/// `12` or `"12"` on a command line.
struct TagArgument: ExpressibleByArgument {
    let tag: EntityTag

    init?(argument: String) {
        guard let tag = EntityTag(argument) else { return nil }
        self.tag = tag
    }
}

/// An idempotency key on a command line.
struct IdempotencyArgument: ExpressibleByArgument {
    let key: IdempotencyKey

    init?(argument: String) {
        guard let key = IdempotencyKey(argument) else { return nil }
        self.key = key
    }
}

/// What guards a write, and where it says what it made.
struct WriteArguments: ParsableArguments {
    @Option(
        name: .long, parsing: .unconditional,
        help: ArgumentHelp("Only if the entity is at this version: 12 or '\"12\"'.", valueName: "v"))
    var ifMatch: TagArgument?

    @Option(
        name: .long,
        help: ArgumentHelp("Do it once, however often the command is repeated under this key.", valueName: "k"))
    var idempotencyKey: IdempotencyArgument?

    func options(ifAbsent: Bool = false) -> WriteOptions {
        WriteOptions(
            precondition: ifAbsent ? .absent : ifMatch.map { .matches($0.tag) },
            idempotencyKey: idempotencyKey?.key)
    }
}

/// Prints what a write made: the new tag, as HTTP writes it.
func show(_ receipt: WriteReceipt, of key: EntityKey, as format: OutputFormat) throws {
    switch format {
    case .table: try Console.current.write(line: receipt.etag.description)
    case .json:
        var object = JSONObject()
        object.add("key", key.description)
        object.add("etag", receipt.etag.description)
        object.add("position", receipt.position?.description)
        object.add("replayed", receipt.replayed)
        try Console.current.write(json: object.bytes)
    }
}
