import Foundation
import Glibc
import Primitives
import Testing

@testable import NodeRuntime

/// Secrets come in by a file or the environment, and never show.
@Suite struct SecretsTests {
    private let folder: String

    init() throws { folder = try makeTestFolder("secrets") }

    private func file(_ text: String, mode: mode_t = 0o600) throws -> String {
        let path = folder + "/file-\(UUID().uuidString)"
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
        #expect(chmod(path, mode) == 0)
        return path
    }

    private func load(
        flags: [String: String] = [:], environment: [String: String] = [:], yaml: String? = nil, mode: UInt32 = 0o600
    ) throws -> NodeConfiguration {
        try ConfigurationLoader.load(
            flags: flags, environment: environment,
            yaml: yaml.map { ConfigurationFile(text: $0, path: "keystead.yaml", mode: mode) })
    }

    @Test(arguments: [
        "metadata-password: [canary\n", "metadata-password: canary\n  x: canary\n", "metadata-password: \"canary\n",
        "metadata-password: canary\nmetadata-password: canary\n", "metadata-password: *canary\n",
        "metadata-pasword: canary\n", "metadata-password: [canary]\n", "metadata: etcd://u:canary@h:1\n",
        "metadata-password canary\n", "metadata-password: canary\u{1}\n", "? metadata-password: canary\n: [",
    ])
    func noErrorShowsTheFile(yaml: String) {
        let error = #expect(throws: ConfigurationError.self) { try load(yaml: yaml) }
        let text = "\(String(describing: error))"
        #expect(!text.contains("canary"), "\(text)")
        #expect(text.contains("keystead.yaml"))
    }

    @Test func aBrokenFileIsPlaced() {
        let error = #expect(throws: ConfigurationError.self) { try load(yaml: "listen: a:1\nmetadata: [x\n") }
        #expect(error?.description.contains("is not YAML: line ") == true, "\(String(describing: error))")
    }

    @Test(arguments: [0o644, 0o666, 0o604, 0o602, 0o601] as [UInt32])
    func aFileThatOthersMayUseMayHoldNoSecret(mode: UInt32) throws {
        let error = #expect(throws: ConfigurationError.self) { try load(yaml: "metadata-password: canary", mode: mode) }
        #expect(error?.isRefusal == true)
        #expect(error?.description.contains("chmod o-rwx keystead.yaml") == true)
        #expect(try load(yaml: "listen: h:1", mode: mode).listen.host == "h", "without a secret it may")
    }

    @Test func theGroupMayRead() throws {
        #expect(
            try load(yaml: "metadata-password: p", mode: 0o640).metadataCredentials.password == Secret("p"))
    }

    @Test func oneOnTheCommandLineIsWarnedOf() throws {
        let configuration = try load(flags: ["metadata-password": "canary"])
        #expect(configuration.warnings.contains { $0.contains("--metadata-password stands on the command line") })
        #expect(configuration.warnings.allSatisfy { !$0.contains("canary") })
        #expect(try load(environment: ["KEYSTEAD_METADATA_PASSWORD": "canary"]).warnings.isEmpty)
    }

    @Test func noDumpShowsOne() throws {
        var text = ""
        dump(try load(flags: ["metadata-password": "canary"]), to: &text)
        #expect(!text.contains("canary"))
    }

    @Test(arguments: ["p w", "p w\n", "p w\r\n"])
    func aFileHoldsOne(text: String) throws {
        let configuration = try load(flags: ["metadata-password-file": try file(text, mode: 0o640)]).withSecretsRead()
        #expect(configuration.metadataCredentials.password == Secret("p w"))
        #expect(configuration.warnings.isEmpty)
    }

    @Test func whatCannotBeUsedIsRefusedAndNamed() throws {
        let open = try file("canary", mode: 0o644)
        let cases = [
            (open, "chmod o-rwx \(open)"), (try file(""), "is empty"), (try file("canary\nb\n"), "several lines"),
            (folder + "/none", "No such file"), (folder, "directory"),
            (try file(String(repeating: "canary", count: 1000)), "more than"),
        ]
        for (path, wanted) in cases {
            let error = #expect(throws: NodeStartError.self) {
                try load(flags: ["metadata-password-file": path]).withSecretsRead()
            }
            #expect(error?.isRefusal == true && error?.description.contains(wanted) == true, "\(wanted)")
            #expect(error?.description.contains("metadata-password-file") == true)
            #expect(error?.description.contains("canary") == false)
        }
    }

    /// As a shell gives it: `--metadata-password-file <(program)`.
    @Test func aPipeHoldsOne() throws {
        var ends: [CInt] = [0, 0]
        #expect(pipe(&ends) == 0)
        #expect(write(ends[1], "from a program\n", 15) == 15 && close(ends[1]) == 0)
        defer { close(ends[0]) }
        let configuration = try load(flags: ["metadata-password-file": "/proc/self/fd/\(ends[0])"]).withSecretsRead()
        #expect(configuration.metadataCredentials.password == Secret("from a program"))
    }

    @Test(arguments: ["peer-key", "metadata-key"])
    func aKeyThatOthersMayReadIsRefused(setting: String) throws {
        let open = try file("key", mode: 0o604)
        let error = #expect(throws: NodeStartError.self) { try load(flags: [setting: open]).withSecretsRead() }
        #expect(error?.isRefusal == true && error?.description.contains(setting) == true)
        _ = try load(flags: [setting: try file("key", mode: 0o640)]).withSecretsRead()
    }

    /// The later source decides, whichever form it takes.
    @Test func aFileAndATextReplaceEachOther() throws {
        let path = try file("from the file")
        let environment = ["KEYSTEAD_METADATA_PASSWORD": "from the environment"]
        let byFlag = try load(flags: ["metadata-password-file": path], environment: environment).withSecretsRead()
        #expect(byFlag.metadataCredentials.password == Secret("from the file"))
        let byEnvironment = try load(
            environment: environment, yaml: "metadata-password-file: \(path)"
        ).withSecretsRead()
        #expect(byEnvironment.metadataCredentials.password == Secret("from the environment"))
    }

    @Test(arguments: [
        ("etcd://127.0.0.1:1,localhost:2,[::1]:3", false), ("etcds://h:1", false), ("etcd://h:1", true),
        ("etcd://127.0.0.1:1,10.0.0.1:1", true), ("embedded", false),
    ])
    func aPasswordInTheOpenIsWarnedOf(metadata: String, isWarned: Bool) throws {
        let environment = ["KEYSTEAD_METADATA_PASSWORD": "p", "KEYSTEAD_METADATA": metadata]
        let warnings = try load(environment: environment).withSecretsRead().warnings
        #expect(warnings.contains { $0.contains("in the open") } == isWarned)
    }
}
