import Primitives
import Yams

/// Why the configuration cannot be used: one line that says what, where and what to do.
public struct ConfigurationError: Error, CustomStringConvertible {
    public let description: String
    /// The values are sound, but the node may not use them: exit code 3, not 2.
    public let isRefusal: Bool

    public init(_ description: String, isRefusal: Bool = false) {
        self.description = description
        self.isRefusal = isRefusal
    }
}

/// Merges the four sources of configuration: flags over environment over the YAML file over the defaults.
public enum ConfigurationLoader {
    /// - Parameters:
    ///   - flags: values by setting name, as the command line gave them.
    ///   - environment: the process environment; only `KEYSTEAD_…` is looked at, and what is nearly a setting's
    ///     name is an error.
    ///   - yaml: the configuration file, where there is one.
    /// - Throws: an error that shows no secret, nor a line of the file, which may hold one.
    public static func load(
        flags: [String: String], environment: [String: String], yaml: ConfigurationFile?
    ) throws(ConfigurationError) -> NodeConfiguration {
        var configuration = NodeConfiguration()
        if let yaml {
            configuration.warnings += yaml.warning.map { [$0] } ?? []
            for (name, text) in try values(ofYAML: yaml.text, path: yaml.path) {
                try set(name, to: text, from: yaml.path, in: &configuration)
                let isSecret = Setting.all.contains { $0.name == name && $0.isSecret }
                if isSecret, let objection = yaml.objection(toSecret: name) { throw objection }
            }
        }
        for (variable, text) in environment.sorted(by: { $0.key < $1.key }) where variable.hasPrefix("KEYSTEAD_") {
            guard let setting = Setting.all.first(where: { $0.environmentName == variable }) else {
                let nearest = Spelling.nearest(to: variable, among: Setting.all.map(\.environmentName))
                guard Spelling.distance(variable, nearest) <= likelyTypo else { continue }
                throw ConfigurationError(
                    "the environment sets \(variable), which is no setting; did you mean \(nearest)?")
            }
            try set(setting.name, to: text, from: "the environment (\(variable))", in: &configuration)
        }
        for (name, text) in flags.sorted(by: { $0.key < $1.key }) {
            try set(name, to: text, from: "the command line", in: &configuration)
            guard let setting = Setting.all.first(where: { $0.name == name && $0.isSecret }) else { continue }
            configuration.warnings.append(
                "\(setting.flag) stands on the command line, where others can read it: give it in a file "
                    + "(\(setting.flag)-file) or in the environment (\(setting.environmentName))")
        }
        return configuration
    }

    /// Other programs may have variables with the same prefix, `keysteadctl` among them; one this close to a setting's
    /// name is taken for a mistyped one.
    private static let likelyTypo = 2

    private static func set(
        _ name: String, to text: String, from source: String, in configuration: inout NodeConfiguration
    ) throws(ConfigurationError) {
        guard let setting = Setting.all.first(where: { $0.name == name }) else {
            let nearest = Spelling.nearest(to: name, among: Setting.all.map(\.name))
            throw ConfigurationError(
                "\(source) sets \(name), which is no setting; did you mean \(nearest)?")
        }
        do {
            try setting.apply(text, &configuration)
        } catch {
            let value = setting.isSecret || error.hidesText ? "a value that is not shown" : "'\(text)'"
            throw ConfigurationError("\(source) sets \(name) to \(value), but it must be \(error.expected)")
        }
        configuration.given[name] = Secret(text)
    }

    /// Leaves of the document by dotted name, in the order of the file.
    private static func values(
        ofYAML text: String, path: String
    ) throws(ConfigurationError) -> [(name: String, text: String)] {
        let root: Yams.Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            // The error's own text shows the line, which may hold a secret.
            throw ConfigurationError("\(path) is not YAML\((error as? YamlError)?.place ?? "")")
        }
        guard let root else { return [] }
        var found: [(String, String)] = []
        try collect(root, prefix: "", path: path, into: &found)
        return found
    }

    private static func collect(
        _ node: Yams.Node, prefix: String, path: String, into found: inout [(String, String)]
    ) throws(ConfigurationError) {
        switch node {
        case .scalar(let scalar):
            guard !prefix.isEmpty else {
                throw ConfigurationError("\(path) must hold names and values, such as 'listen: 127.0.0.1:7070'")
            }
            found.append((prefix, scalar.string))
        case .mapping(let mapping):
            for (key, value) in mapping {
                guard let name = key.string else {
                    throw ConfigurationError("\(path) has a name that is no text under '\(prefix)'")
                }
                try collect(value, prefix: prefix.isEmpty ? name : "\(prefix).\(name)", path: path, into: &found)
            }
        default:
            throw ConfigurationError("\(path) gives \(prefix) a list, where one value is wanted")
        }
    }
}

extension YamlError {
    /// Where the error is and what is wrong, without the text that is there.
    fileprivate var place: String {
        switch self {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            ": line \(mark.line), column \(mark.column): \(problem)"
        case .reader(let problem, _, _, _): ": \(problem)"
        case .duplicatedKeysInMapping(_, let context): ": line \(context.mark.line): a name stands there twice"
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded: ""
        }
    }
}

/// Names the known word nearest to a mistyped one.
public enum Spelling {
    public static func nearest(to word: String, among known: [String]) -> String {
        known.min { distance($0, word) < distance($1, word) } ?? ""
    }

    /// Levenshtein's edit distance, in bytes.
    static func distance(_ leftText: String, _ rightText: String) -> Int {
        let left = Array(leftText.utf8)
        let right = Array(rightText.utf8)
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let substitute = diagonal + (a == b ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substitute, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}
