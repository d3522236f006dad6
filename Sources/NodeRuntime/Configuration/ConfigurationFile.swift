import Glibc
import Primitives

/// The YAML file of settings, as it was read.
public struct ConfigurationFile: Sendable {
    let text: String
    let path: String
    /// The bits that chmod sets.
    private let mode: mode_t

    /// - Parameter mode: the bits that chmod sets.
    public init(text: String, path: String, mode: UInt32 = 0o600) {
        self.text = text
        self.path = path
        self.mode = mode
    }

    /// Reads the file. Blocks on the disk.
    public static func read(_ path: String) throws(ConfigurationError) -> ConfigurationFile {
        do throws(FolderError) {
            let file = try NamedFile(path, bytesMax: Limits.configurationFileBytesMax)
            return ConfigurationFile(text: file.text, path: path, mode: file.mode)
        } catch {
            throw ConfigurationError("the configuration file cannot be used: \(error)")
        }
    }

    /// Why the file may not hold the secret `name`, or `nil` where others cannot read it.
    func objection(toSecret name: String) -> ConfigurationError? {
        guard mode & 0o007 != 0 else { return nil }
        return ConfigurationError(
            "\(path) sets \(name), which is secret, and others may read it (mode 0\(String(mode, radix: 8))): run "
                + "`chmod o-rwx \(path)`",
            isRefusal: true)
    }

    /// What the operator should hear of a file that is used all the same.
    var warning: String? {
        guard mode & 0o002 != 0 else { return nil }
        return "others may change \(path), and so how this node runs: run `chmod o-w \(path)`"
    }
}
