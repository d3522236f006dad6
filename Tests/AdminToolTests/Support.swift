import Glibc
import KeysteadClient
import ScriptedServer
import Synchronization

@testable import AdminTool

/// What a command did.
struct CommandResult {
    let status: CommandExit
    let output: String
    let errors: String
}

/// Runs one command with a console of its own.
func run(
    _ arguments: String..., environment: [String: String] = [:], isErrorTerminal: Bool = false
) async -> CommandResult {
    await run(arguments, environment: environment, isErrorTerminal: isErrorTerminal)
}

/// Longer than a loaded machine takes for an answer.
private let ample = Duration.seconds(100)

func run(
    _ arguments: [String], environment: [String: String] = [:], isErrorTerminal: Bool = false,
    isOutputTerminal: Bool = false, patience: Duration? = nil
) async -> CommandResult {
    let output = Mutex<[UInt8]>([])
    let errors = Mutex<[UInt8]>([])
    let console = Console(
        environment: environment, isErrorTerminal: isErrorTerminal, isOutputTerminal: isOutputTerminal,
        patience: patience ?? ample, output: { bytes in output.withLock { $0 += bytes } },
        error: { bytes in errors.withLock { $0 += bytes } })
    let status = await Tool.run(arguments, console: console)
    return CommandResult(
        status: status, output: String(decoding: output.withLock { $0 }, as: UTF8.self),
        errors: String(decoding: errors.withLock { $0 }, as: UTF8.self))
}

/// A directory that goes away with the test.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/keystead-tests-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            guard let start = buffer.baseAddress, let made = mkdtemp(start) else { return "" }
            return String(cString: made)
        }
        precondition(!path.isEmpty, "no temporary directory")
    }

    deinit {
        for name in names { unlink(path + "/" + name) }
        rmdir(path)
    }

    var names: [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func write(_ name: String, _ text: String) throws -> String {
        try AtomicFile.replace(path + "/" + name, with: Array(text.utf8))
        return path + "/" + name
    }

    func read(_ name: String) async throws -> String {
        String(decoding: try await InputFile.contents(of: path + "/" + name, bytesMax: 1 << 30), as: UTF8.self)
    }
}

/// The mode of a file, after it was set where that is asked for.
func permissions(_ path: String, set mode: mode_t? = nil) -> mode_t {
    if let mode { chmod(path, mode) }
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
}

/// A problem document as the server writes it.
func problem(_ code: String, applied: String = "no", retry: String = "never") -> String {
    #"{"type":"urn:keystead:error:\#(code)","title":"T","status":1,"detail":"D","#
        + #""applied":"\#(applied)","retry":"\#(retry)"}"#
}
