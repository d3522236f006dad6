import Glibc
import KeysteadClient
import Primitives

/// How far an import has come, in a file beside the input (`FILE.keystead-import`), so that `--resume` can go on.
///
/// It is written about once a second, as one JSON object, by rename: it always holds a whole state, never one ahead of
/// what the server confirmed. It goes away when the import has come to the end.
struct ImportProgress: Equatable, Sendable {
    var kind: String
    var idField: String
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

    var encoded: [UInt8] {
        var object = JSONObject()
        object.add("version", 1)
        object.add("kind", kind)
        object.add("id-field", idField)
        object.add("run", run)
        object.add("offset", mark.offset)
        object.add("line", mark.line)
        object.add("blank", blank)
        object.add("refused", refused)
        object.add("prefix-hash", prefixHash)
        return object.bytes + [0x0A]
    }

    init(kind: String, idField: String, run: UInt64) {
        self.kind = kind
        self.idField = idField
        self.run = run
    }

    /// `nil` where the bytes are no progress of this version.
    init?(_ bytes: [UInt8]) {
        guard let object = JSONText(bytes), object.member("version")?.unsigned == 1,
            let kind = object.member("kind")?.string, let idField = object.member("id-field")?.string,
            let run = object.member("run")?.unsigned, let offset = object.member("offset")?.unsigned,
            let line = object.member("line")?.unsigned, let blank = object.member("blank")?.unsigned,
            let refused = object.member("refused")?.unsigned,
            let prefixHash = object.member("prefix-hash")?.unsigned, offset >= line,
            line >= blank, line - blank >= refused
        else { return nil }
        self.init(kind: kind, idField: idField, run: run)
        mark = InputMark(offset: offset, line: line)
        self.blank = blank
        self.refused = refused
        self.prefixHash = prefixHash
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

    /// Checks that this is the progress of importing just that input under these names.
    func check(_ file: InputFile, input: String, kind: String, idField: String) throws {
        guard self.kind == kind, self.idField == idField else {
            throw CommandFailure(
                .refused,
                "the earlier import was of kind '\(self.kind)' by '\(self.idField)'; resume it as that, or "
                    + "import without --resume")
        }
        guard prefixHash == (try Self.hash(of: file, before: mark.offset)) else {
            throw CommandFailure(
                .refused, "\(input) has changed since it was imported up to line \(mark.line); import without --resume")
        }
    }

    static func hash(of file: InputFile, before offset: UInt64) throws -> UInt64 {
        XXH64.hash(try file.bytes(before: offset, count: hashedBytes), seed: 0)
    }
}
