import Entities
import NodeRuntime
import Testing

@Suite struct ConfigurationTests {
    private func load(
        flags: [String: String] = [:], environment: [String: String] = [:], yaml: String? = nil
    ) throws -> NodeConfiguration {
        try ConfigurationLoader.load(
            flags: flags, environment: environment,
            yaml: yaml.map { ConfigurationFile(text: $0, path: "keystead.yaml") })
    }

    private func refusal(
        flags: [String: String] = [:], environment: [String: String] = [:], yaml: String? = nil
    ) -> String {
        do {
            _ = try load(flags: flags, environment: environment, yaml: yaml)
            return "accepted"
        } catch {
            return "\(error)"
        }
    }

    @Test func defaults() throws {
        let configuration = try load()
        #expect(configuration.listen == HostPort(host: "127.0.0.1", port: 7070))
        #expect(configuration.adminListen.description == "127.0.0.1:7071")
        #expect(configuration.shards == 64)
        #expect(configuration.entityLimits.entityBytesMax == 1 << 20)
        #expect(configuration.idempotencyRetentionSeconds == 86_400)
        #expect(!configuration.unsafeNoSync)
    }

    /// Every setting's own default text must read as a value of it.
    @Test func defaultTextsAreValid() throws {
        for setting in Setting.all {
            _ = try load(flags: [setting.name: setting.defaultText])
        }
    }

    @Test func flagsOverEnvironmentOverFile() throws {
        let yaml = "shards: 128\ncluster: file\nzone: file\nlimits:\n  entity-bytes: 2MiB\n"
        let environment = ["KEYSTEAD_CLUSTER": "environment", "KEYSTEAD_ZONE": "environment", "HOME": "/"]
        let configuration = try load(flags: ["zone": "flag"], environment: environment, yaml: yaml)
        #expect(configuration.shards == 128)
        #expect(configuration.cluster == "environment")
        #expect(configuration.zone == "flag")
        #expect(configuration.entityLimits.entityBytesMax == 2 << 20)
    }

    @Test func dottedAndNestedNamesAreOne() throws {
        #expect(try load(yaml: "limits.entity-bytes: 5MiB").entityLimits.entityBytesMax == 5 << 20)
    }

    @Test func unknownNamesGetTheNearestKnownOne() {
        #expect(refusal(yaml: "lisen: 127.0.0.1:1").contains("keystead.yaml sets lisen"))
        #expect(refusal(yaml: "lisen: 127.0.0.1:1").contains("did you mean listen?"))
        #expect(refusal(yaml: "limits:\n  entity-byte: 1").contains("did you mean limits.entity-bytes?"))
        #expect(refusal(environment: ["KEYSTEAD_SHARD": "64"]).contains("did you mean KEYSTEAD_SHARDS?"))
        #expect(refusal(environment: ["KEYSTEAD_HOST": "a"]).contains("did you mean KEYSTEAD_HOSTS?"))
        #expect(refusal(yaml: "allowed-origin: x").contains("did you mean allowed-origins?"))
        #expect(refusal(yaml: "insecur: true").contains("did you mean insecure?"))
    }

    @Test(arguments: [
        ("listen", "7070", "HOST:PORT"), ("listen", "::1:7070", "HOST:PORT"), ("listen", "h:70000", "HOST:PORT"),
        ("shards", "63", "power of two"), ("shards", "8", "power of two"), ("shards", "8192", "power of two"),
        ("memory", "1MiB", "size"), ("memory", "lots", "size"), ("memory", "99999999999999999999GiB", "size"),
        ("limits.entity-bytes", "17MiB", "size"), ("limits.entity-bytes", "0", "size"),
        ("idempotency.retention", "1s", "time"), ("idempotency.retention", "18446744073709551615d", "time"),
        ("weight", "0", "number"), ("weight", "nan", "number"), ("node-id", "a b", "letters"),
        ("log-format", "xml", "text, json"), ("metadata", "zookeeper", "embedded"),
        ("hosts", "a b", "names without ports"), ("hosts", "a:7070", "names without ports"),
        ("hosts", "a,,b", "names without ports"), ("hosts", "http://a", "names without ports"),
        ("allowed-origins", "*", "origins"), ("allowed-origins", "null", "origins"),
        ("allowed-origins", "a.example", "origins"), ("allowed-origins", "https://a.example/", "origins"),
        ("insecure", "yes", "true, false"),
    ])
    func badValuesSayWhatIsWanted(name: String, text: String, wanted: String) {
        let message = refusal(flags: [name: text])
        #expect(message.contains("the command line sets \(name) to '\(text)'"))
        #expect(message.contains(wanted))
    }

    @Test func doorsAreLists() throws {
        let configuration = try load(
            flags: ["hosts": "a.example, B.example."], environment: ["KEYSTEAD_INSECURE": "true"],
            yaml: "allowed-origins: https://a.example,http://b.example:8080")
        #expect(configuration.hosts == ["a.example", "B.example."])
        #expect(configuration.allowedOrigins == ["https://a.example", "http://b.example:8080"])
        #expect(configuration.isInsecure)
        let origins = (0..<65).map { "https://\($0).example" }.joined(separator: ",")
        #expect(refusal(flags: ["allowed-origins": origins]).contains("at most 64 origins"))
    }

    @Test func badYAMLNamesTheFile() {
        #expect(refusal(yaml: "a: [").contains("keystead.yaml is not YAML"))
        #expect(refusal(yaml: "listen: [a, b]").contains("a list"))
        #expect(refusal(yaml: "just text").contains("names and values"))
    }

    @Test func addresses() {
        #expect(HostPort("[::1]:7070") == HostPort(host: "::1", port: 7070))
        #expect(HostPort("[::1]:7070")?.description == "[::1]:7070")
        #expect(HostPort("localhost:0")?.port == 0)
        #expect(HostPort(":7070") == nil)
    }
}
