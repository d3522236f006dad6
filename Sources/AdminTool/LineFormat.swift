import ArgumentParser

/// What stands on the lines of an export or an import, as `--format` names it.
enum LineFormatName: String, ExpressibleByArgument, CaseIterable {
    /// Entities with key, content type and expiry: ``FullLine``.
    case full
    /// States alone, each a JSON object that holds its id.
    case states
}

/// The same, with what a reader of states needs to know.
enum LineFormat: Equatable, Sendable {
    case full
    case states(idField: String)
}
