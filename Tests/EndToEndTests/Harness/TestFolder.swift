import Foundation
import Glibc

/// A folder of one test: removed when `remove()` is called, kept (with its path printed) when the test failed.
final class TestFolder: Sendable {
    let path: String

    init(_ name: String) throws {
        let base = ProcessInfo.processInfo.environment["KEYSTEAD_TEST_FOLDER"] ?? NSTemporaryDirectory()
        var template = Array("\(base)/keystead-\(name)-XXXXXX".replacing("//", with: "/").utf8CString)
        guard mkdtemp(&template) != nil else { throw HarnessError("cannot make a folder under \(base)") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }

    /// Makes a folder in it; its path.
    func make(_ name: String) throws -> String {
        try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
        return "\(path)/\(name)"
    }

    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = "\(path)/\(name)"
        guard FileManager.default.createFile(atPath: file, contents: Data(bytes)) else {
            throw HarnessError("cannot write \(file)")
        }
        return file
    }
}

/// Runs `body` with a folder of its own. When it throws, the folder stays and its path is in the error; with
/// `KEYSTEAD_KEEP=1` it always stays.
func withTestFolder<R>(_ name: String, _ body: (TestFolder) throws -> R) throws -> R {
    let folder = try TestFolder(name)
    do {
        let result = try body(folder)
        if Programs.setting("KEYSTEAD_KEEP", default: 0) == 0 { folder.remove() }
        return result
    } catch {
        throw HarnessError("\(error)\n(what the programs left is in \(folder.path))")
    }
}
