import NIOHTTP1

/// What a list is to show.
public struct ListOptions: Hashable, Sendable {
    /// Only ids that begin with it.
    public var prefix: String
    /// Entities a page, 1 to 1000. A page may hold fewer and still not be the last.
    public var pageItemsMax: Int
    /// Give the states too.
    public var values: Bool
    /// Fail (`shard-unavailable`) rather than leave out the entities of a shard that cannot answer.
    public var requiresFullHarvest: Bool
    /// Where to go on: the cursor of an earlier page, which survives restarts and moves.
    public var cursor: String?

    public init(
        prefix: String = "", pageItemsMax: Int = 100, values: Bool = false, requiresFullHarvest: Bool = false,
        cursor: String? = nil
    ) {
        self.prefix = prefix
        self.pageItemsMax = pageItemsMax
        self.values = values
        self.requiresFullHarvest = requiresFullHarvest
        self.cursor = cursor
    }
}

/// One entity of a list.
public struct ListedEntity: Sendable {
    public let key: EntityKey
    public let etag: EntityTag
    /// Bytes of the state.
    public let byteCount: Int
    public let contentType: String
    /// When it was last written, as the server says it.
    public let updated: String
    /// Seconds that were left when it was listed, after which it reads as absent; `nil` where it has no expiry.
    public let ttlSeconds: UInt64?
    /// The state, where the list was asked for values.
    public let state: [UInt8]?
    /// The item as the server wrote it.
    package let text: JSONText
}

/// One page of a list.
public struct ListPage: Sendable {
    public let items: [ListedEntity]
    /// Where the next page begins; `nil` after the last.
    public let cursor: String?
    public let harvest: Harvest

    /// How much of the cluster a page covers.
    public struct Harvest: Hashable, Sendable {
        public let answered: Int
        public let shards: Int
        /// Shards whose entities may be missing from the page.
        public let missing: [UInt32]
    }
}

/// All pages of a list, one request each, fetched as they are asked for.
///
/// An entity that exists throughout is listed exactly once, in the order of the ring; a list is no snapshot.
public struct EntityPages: AsyncSequence, Sendable {
    public typealias Element = ListPage
    public typealias Failure = KeysteadError

    let client: Keystead
    let kind: String
    let options: ListOptions

    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(client: client, kind: kind, options: options, isAtEnd: false)
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let client: Keystead
        let kind: String
        var options: ListOptions
        var isAtEnd: Bool

        /// A failed page can be asked for again: the iterator stays where it was.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(KeysteadError) -> ListPage? {
            guard !isAtEnd else { return nil }
            let page = try await client.page(of: kind, options)
            options.cursor = page.cursor
            isAtEnd = page.cursor == nil
            return page
        }
    }
}

extension Keystead {
    /// The entities of a kind, page by page.
    public func list(_ kind: String, _ options: ListOptions = ListOptions()) -> EntityPages {
        EntityPages(client: self, kind: kind, options: options)
    }

    /// One page.
    public func page(
        of kind: String, _ options: ListOptions = ListOptions(), deadline: Duration? = nil
    ) async throws(KeysteadError) -> ListPage {
        var query = "limit=\(options.pageItemsMax)"
        if !options.prefix.isEmpty { query += "&prefix=\(percentEncoded(options.prefix))" }
        if options.values { query += "&values=true" }
        if options.requiresFullHarvest { query += "&require=full" }
        if let cursor = options.cursor { query += "&cursor=\(percentEncoded(cursor))" }
        let request = OutgoingRequest(
            method: .GET, path: "/v1/entities/\(percentEncoded(kind))?\(query)", isWrite: false)
        let answer = try await call(request, to: data, repetition: .harmless, deadline: deadline).answer
        guard let document = JSONText(answer.body), let page = ListPage(document) else {
            throw .malformed("a page of a list that is none", isWrite: false, status: answer.status)
        }
        return page
    }
}

extension ListPage {
    init?(_ document: JSONText) {
        guard document.kind == .object else { return nil }
        var items: [ListedEntity]?
        var cursor: String?
        var harvest = Harvest(answered: 0, shards: 0, missing: [])
        for (name, value) in document.members {
            switch name.string {
            case "items":
                let texts = value.elements
                items = texts.compactMap { ListedEntity($0) }
                guard items?.count == texts.count else { return nil }
            case "cursor": cursor = value.string
            case "harvest":
                guard let read = Harvest(value) else { return nil }
                harvest = read
            default: continue
            }
        }
        guard let items else { return nil }
        self.init(items: items, cursor: cursor, harvest: harvest)
    }
}

extension ListPage.Harvest {
    /// `of` is the number of shards, as a number or as its text.
    init?(_ text: JSONText) {
        guard let answered = text.member("answered")?.unsigned, let of = text.member("of"),
            let shards = of.unsigned ?? of.string.flatMap({ UInt64($0) })
        else { return nil }
        let missing = text.member("missing")?.elements.compactMap { $0.unsigned.map { UInt32(clamping: $0) } } ?? []
        self.init(answered: Int(clamping: answered), shards: Int(clamping: shards), missing: missing)
    }
}

extension ListedEntity {
    init?(_ item: JSONText) {
        var fields: [String: JSONText] = [:]
        for (name, value) in item.members { fields[name.string ?? ""] = value }
        guard let key = fields["key"]?.string.flatMap({ EntityKey($0) }),
            let etag = fields["etag"]?.string.flatMap({ EntityTag($0) }),
            let byteCount = fields["bytes"]?.unsigned
        else { return nil }
        self.init(
            key: key, etag: etag, byteCount: Int(clamping: byteCount),
            contentType: fields["content-type"]?.string ?? "application/octet-stream",
            updated: fields["updated"]?.string ?? fields["updated"]?.numberText ?? "",
            ttlSeconds: fields["ttl"]?.unsigned, state: StateField.read(fields), text: item)
    }
}
