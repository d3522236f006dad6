import Foundation

/// Where the programs under test are: in `KEYSTEAD_BIN` (a directory), else beside the running test bundle.
enum Programs {
    static let directory: String = {
        if let given = ProcessInfo.processInfo.environment["KEYSTEAD_BIN"] { return given }
        let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return own.deletingLastPathComponent().path
    }()

    static var server: String { "\(directory)/keystead" }
    static var control: String { "\(directory)/keysteadctl" }

    /// A program of the system, which the tests need and cannot do without.
    static func system(_ name: String) throws -> String {
        for directory in ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"] {
            let path = "\(directory)/\(name)"
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw HarnessError("\(name) is not installed; this test cannot run without it, and it must not be skipped")
    }

    /// A setting of the tests, from the environment.
    static func setting(_ name: String, default value: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap(Int.init) ?? value
    }
}
