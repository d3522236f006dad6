import ClusterMetadata
import Testing

@testable import NodeRuntime

/// Listeners that others can reach: what a start is refused for (Contract §8.1).
@Suite struct OpenBindTests {
    private func refusal(_ flags: [String: String], hasPeers: Bool = false) throws -> String? {
        let configuration = try ConfigurationLoader.load(flags: flags, environment: [:], yaml: nil)
        do {
            try OpenBinds(configuration: configuration, hasPeers: hasPeers).check()
            return nil
        } catch {
            #expect(error.isRefusal)
            return "\(error)"
        }
    }

    private let peerTLS = ["peer-certificate": "c", "peer-key": "k", "peer-ca": "a"]

    @Test(arguments: [
        "127.0.0.1:1", "127.255.255.254:1", "[::1]:1", "localhost:1", "LOCALHOST:1", "127.1:1", "[::ffff:127.0.0.1]:1",
        "[0:0:0:0:0:0:0:1]:1",
    ])
    func loopbackNeedsNothing(address: String) throws {
        for setting in ["listen", "admin-listen", "peer-listen"] {
            #expect(try refusal([setting: address], hasPeers: true) == nil, "\(setting)")
        }
    }

    @Test(arguments: [
        "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "192.168.1.7:1", "[fe80::1]:1", "[2001:db8::1]:1", "db.example:1", "0:1",
        "128.0.0.1:1", "localhost.example:1", "[::ffff:10.0.0.1]:1", "126.255.255.255:1",
    ])
    func whatOthersReachIsRefused(address: String) throws {
        for setting in ["listen", "admin-listen", "peer-listen"] {
            let text = try #require(try refusal([setting: address]), "\(setting) \(address)")
            #expect(text.contains("\(setting) ") && text.contains("--insecure") && !text.contains("\n"))
            #expect(try refusal([setting: address, "insecure": "true"]) == nil)
        }
        let guarded = try refusal(["peer-listen": address].merging(peerTLS) { $1 })
        #expect(guarded == nil)
        #expect(try refusal(["listen": address].merging(peerTLS) { $1 }) != nil)
    }

    @Test func allOfThemAreNamedAtOnce() throws {
        let open = ["listen": "0.0.0.0:1", "admin-listen": "0.0.0.0:2", "peer-listen": "0.0.0.0:3"]
        let text = try #require(try refusal(open))
        for address in open { #expect(text.contains("\(address.key) \(address.value)")) }
        #expect(text.contains("--peer-certificate"))
    }

    /// The rest of a cluster would be told to connect to itself.
    @Test(arguments: ["0.0.0.0:1", "[::]:1", "0:1", "[::ffff:0.0.0.0]:1", "[0::0]:1"])
    func aClusterIsToldAnAddress(address: String) throws {
        for (setting, advertise) in [
            ("listen", "advertise"), ("admin-listen", "advertise-admin"), ("peer-listen", "advertise-peer"),
        ] {
            let flags = [setting: address, "insecure": "true"]
            let text = try #require(try refusal(flags, hasPeers: true))
            #expect(text.contains(setting) && text.contains("--\(advertise)"))
            #expect(try refusal(flags) == nil, "a node alone has nobody to tell")
            #expect(try refusal(flags.merging([advertise: "10.0.0.1:1"]) { $1 }, hasPeers: true) == nil)
            // That is no address either, whoever asks.
            for hasPeers in [false, true] {
                let nowhere = try refusal([advertise: address, "insecure": "true"], hasPeers: hasPeers)
                #expect(nowhere?.contains(advertise) == true)
            }
        }
        let guarded = ["peer-listen": address].merging(peerTLS) { $1 }
        #expect(try refusal(guarded, hasPeers: true)?.contains("--advertise-peer") == true)
    }

    @Test func callersAreToldAnAddressOfTheMachine() throws {
        for text in ["0.0.0.0:7070", "[::]:7070"] {
            let told = try #require(HostPort(text)).forOthers
            #expect(!told.isWildcard && told.port == 7070 && HostPort(told.description) == told)
        }
        let named = HostPort(host: "10.0.0.1", port: 1)
        #expect(named.forOthers == named)
    }
}
