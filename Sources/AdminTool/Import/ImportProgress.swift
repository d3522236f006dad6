import Glibc
import KeysteadClient
import Primitives

/// How far an import has come, in a file beside the input (`FILE.keystead-import`), so that `--resume` can go on.
///
/// It is written about once a second, as one JSON object, by rename: it always holds a whole state, never one ahead of
/// what the server confirmed. It goes away when the import has come to the end.
struct ImportProgress: Equatable, Sendable {
    /// What an import is of and into: another of these is another import.
    struct Origin: Equatable, Sendable {
        var kind: String
        /// What the lines are; `nil` while no line has told.
        var format: LineFormat?
        /// The cluster's own name for ever; `nil` where the server does not say.
        var cluster: String?
        /// Of the input, as it was when the import began.
        var byteCount: UInt64 = 0
        var modified: UInt64 = 0
    }

    var origin: Origin
    /// Names this import in every line's idempotency key: a resumed import sends the same keys, another import others.
    var run: UInt64
    var mark = InputMark()
    /// Lines before the mark, by what became of them.
    var blank: UInt64 = 0
    var refused: UInt64 = 0
    /// XXH64 of the input's last bytes before the mark: it tells another or a changed file.
    var prefixHash: UInt64 = 0

    static let hashedBytes = 64 << 10

    static func path(for input: String) -> String { input + ".keystead-import" }

    /// Written, not refused and not blank.
    var written: UInt64 { mark.line - blank - refused }

    init(_ origin: Origin, run: UInt64) {
        self.origin = origin
        self.run = run
    }

    // MARK: As a file

    var encoded: [UInt8] {
        var object = JSONObject()
        object.add("version", 2)
        object.add("kind", origin.kind)
        switch origin.format {
        case .full: object.add("format", LineFormatName.full.rawValue)
        case .states(let idField):
            object.add("format", LineFormatName.states.rawValue)
            object.add("id-field", idField)
        case nil: break
        }
        if let cluster = origin.cluster { object.add("cluster", cluster) }
        object.add("bytes", origin.byteCount)
        object.add("modified", origin.modified)
        object.add("run", run)
        object.add("offset", mark.offset)
        object.add("line", mark.line)
        object.add("blank", blank)
        object.add("refused", refused)
        object.add("prefix-hash", prefixHash)
        return object.bytes + [0x0A]
    }

    /// `nil` where the bytes are no progress of this version.
    init?(_ bytes: [UInt8]) {
        guard let object = JSONText(bytes), object.member("version")?.unsigned == 2,
            let kind = object.member("kind")?.string, let byteCount = object.member("bytes")?.unsigned,
            let modified = object.member("modified")?.unsigned, let run = object.member("run")?.unsigned,
            let offset = object.member("offset")?.unsigned, let line = object.member("line")?.unsigned,
            let blank = object.member("blank")?.unsigned, let refused = object.member("refused")?.unsigned,
            let prefixHash = object.member("prefix-hash")?.unsigned, offset >= line,
            line >= blank, line - blank >= refused
        else { return nil }
        self.init(
            Origin(
                kind: kind, format: Self.format(object), cluster: object.member("cluster")?.string,
                byteCount: byteCount, modified: modified), run: run)
        mark = InputMark(offset: offset, line: line)
        self.blank = blank
        self.refused = refused
        self.prefixHash = prefixHash
    }

    private static func format(_ object: JSONText) -> LineFormat? {
        switch object.member("format")?.string.flatMap({ LineFormatName(rawValue: $0) }) {
        case .full: .full
        case .states: object.member("id-field")?.string.map { .states(idField: $0) }
        case nil: nil
        }
    }

    /// Reads the progress of an earlier import of `input`; `nil` where there is none.
    static func load(for input: String) async throws -> ImportProgress? {
        let path = path(for: input)
        guard access(path, F_OK) == 0 else { return nil }
        guard let progress = ImportProgress(try await InputFile.contents(of: path, bytesMax: 1 << 20)) else {
            throw CommandFailure(
                .refused, "\(path) is no progress of an import; remove it, or import without --resume")
        }
        return progress
    }

    // MARK: Whether it can go on

    /// Checks that this is the progress of importing just that input under that name.
    func check(_ file: InputFile, kind: String, _ choice: ImportChoice) throws {
        guard origin.kind == kind else {
            throw CommandFailure(
                .refused, "the earlier import was of kind '\(origin.kind)'; \(Self.instead("resume it as that"))")
        }
        if let format = origin.format, choice.contradicts(format) {
            throw CommandFailure(
                .refused, "the earlier import took \(Self.words(format)); \(Self.instead("resume it as that"))")
        }
        guard origin.byteCount == file.byteCount, origin.modified == file.modified,
            prefixHash == (try Self.hash(of: file, before: mark.offset))
        else {
            throw CommandFailure(
                .refused,
                "\(choice.input) has changed since it was imported up to line \(mark.line); "
                    + "import it without --resume, from its beginning")
        }
    }

    /// Checks that it went into that cluster.
    func check(cluster: String?, input: String) throws {
        guard let begun = origin.cluster, begun != cluster else { return }
        let here = cluster.map { "this is cluster \($0)" } ?? "the server here does not say which cluster it is"
        let resume = Self.instead("give the --endpoint of the first")
        throw CommandFailure(
            .refused,
            "the earlier import of \(input) went into cluster \(begun), and \(here): nothing was sent; \(resume)")
    }

    private static func instead(_ first: String) -> String {
        "\(first), or import without --resume, from the beginning"
    }

    private static func words(_ format: LineFormat) -> String {
        switch format {
        case .full: "full lines"
        case .states(let idField): "states by '\(idField)'"
        }
    }

    static func hash(of file: InputFile, before offset: UInt64) throws -> UInt64 {
        XXH64.hash(try file.bytes(before: offset, count: hashedBytes), seed: 0)
    }
}
