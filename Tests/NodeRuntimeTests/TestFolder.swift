import Foundation

/// A new, empty folder of its own for each test.
func makeTestFolder(_ name: String) throws -> String {
    let url = FileManager.default.temporaryDirectory.appending(path: "keystead-\(name)-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url.path
}
