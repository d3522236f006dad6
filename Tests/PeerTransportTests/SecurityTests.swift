import Foundation
import NIOCore
import NIOPosix
import NIOSSL
import PeerTransport
import PeerWire
import Primitives
import Testing

/// Certificates made by openssl in a folder of the test's own.
private final class Certificates: Sendable {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("peer-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for authority in ["authority", "stranger"] {
            try openssl([
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=\(authority)", "-keyout", path("\(authority).key"), "-out", path("\(authority).pem"),
            ])
        }
        try sign("node", by: "authority", names: "IP:127.0.0.1,DNS:localhost")
        try sign("elsewhere", by: "authority", names: "IP:10.9.8.7,DNS:elsewhere.invalid")
        try sign("foreign", by: "stranger", names: "IP:127.0.0.1")
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    func tls(_ name: String, authority: String = "authority", verifiesHostNames: Bool = true) throws -> PeerTLS {
        try PeerTLS(
            certificate: path("\(name).pem"), privateKey: path("\(name).key"), authority: path("\(authority).pem"),
            verifiesHostNames: verifiesHostNames)
    }

    private func sign(_ name: String, by authority: String, names: String) throws {
        try "subjectAltName=\(names)\n".write(toFile: path("\(name).ext"), atomically: true, encoding: .utf8)
        try openssl([
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=\(name)",
            "-keyout", path("\(name).key"), "-out", path("\(name).csr"),
        ])
        try openssl([
            "x509", "-req", "-in", path("\(name).csr"), "-CA", path("\(authority).pem"), "-CAkey",
            path("\(authority).key"), "-CAcreateserial", "-days", "2", "-extfile", path("\(name).ext"), "-out",
            path("\(name).pem"),
        ])
    }

    private func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "openssl \(arguments[0])")
    }
}

@Suite(.timeLimit(.minutes(2))) struct SecurityTests {
    private func outcome(
        client: PeerTLS?, server: PeerTLS?, host: String = "127.0.0.1"
    ) async throws -> (outcome: PeerOutcome, served: Int) {
        let service = HoldingService()
        return try await withClient(options: .patient(tls: client)) { client, group in
            let server = try await PeerServer.serve(
                service, on: group, host: "127.0.0.1", port: 0, identity: Cluster.identity("server"),
                options: .patient(tls: server))
            let address = PeerAddress(node: Cluster.node("server"), host: host, port: server.localAddress.port ?? 0)
            async let asked = client.ask(Cluster.numbered(3), address, on: group.next())
            // Whoever gets in is answered.
            let answering = Task {
                var generator = SplitMix64(seed: 9)
                while !Task.isCancelled {
                    service.release(using: &generator)
                    try? await Task.sleep(for: .milliseconds(5))
                }
            }
            let outcome = await asked
            answering.cancel()
            await server.shutDown(within: .milliseconds(200))
            return (outcome, service.total)
        }
    }

    @Test func membersOfTheClusterSpeak() async throws {
        let certificates = try Certificates()
        let node = try certificates.tls("node")
        for host in ["127.0.0.1", "localhost"] {
            let (outcome, served) = try await outcome(client: node, server: node, host: host)
            #expect(outcome.number == 3 && served == 1, "\(host): \(outcome)")
        }
    }

    @Test func manyRequestsAndLargeOnesPass() async throws {
        let certificates = try Certificates()
        try await withPair(ScriptedService.echo, options: .patient(tls: try certificates.tls("node"))) {
            client, server, group in
            let address = server.address("server")
            let loop = group.next()
            let wrong = try await withThrowingTaskGroup(of: Bool.self) { tasks in
                for number in 0..<1000 {
                    tasks.addTask {
                        await client.ask(Cluster.numbered(number), address, on: loop).number != UInt64(number)
                    }
                }
                return try await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(wrong == 0)
            let large = try Cluster.put(bytes: 4 << 20)
            #expect(await client.ask(large, address, on: loop).number == 7, "a large request is answered")
        }
    }

    @Test func aCertificateOfAnotherAuthorityIsRefused() async throws {
        let certificates = try Certificates()
        let node = try certificates.tls("node")
        // A server does not let the stranger in, and a client does not trust the stranger's server.
        let (asClient, served) = try await outcome(client: try certificates.tls("foreign"), server: node)
        #expect(asClient.notSentText != nil && served == 0, "\(asClient)")
        let (asServer, none) = try await outcome(client: node, server: try certificates.tls("foreign"))
        #expect(asServer.notSentText != nil && none == 0, "\(asServer)")
    }

    @Test func aClientWithoutACertificateIsRefused() async throws {
        let certificates = try Certificates()
        let service = HoldingService()
        try await withPair(service, options: .patient(tls: try certificates.tls("node"))) { _, server, group in
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .file(certificates.path("authority.pem"))
            let context = try NIOSSLContext(configuration: configuration)
            let handler = RawHandler()
            let channel = try await ClientBootstrap(group: group)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandlers(
                            NIOSSLClientHandler(context: context, serverHostname: nil), handler)
                    }
                }
                .connect(to: server.localAddress).get()
            channel.say(PeerControl.hello(Cluster.hello("raw")).frame(id: 0))
            channel.say(Cluster.numbered(1).frame(id: 1))
            try await eventually { handler.isClosed }
            #expect(handler.frames.isEmpty)
            try await eventually { server.connectionCount == 0 }
            #expect(service.total == 0)
        }
    }

    @Test func plainAndSecureDoNotMix() async throws {
        let certificates = try Certificates()
        let node = try certificates.tls("node")
        let (plain, served) = try await outcome(client: nil, server: node)
        #expect(plain.notSentText != nil && served == 0, "\(plain)")
        let (secure, none) = try await outcome(client: node, server: nil)
        #expect(secure.notSentText != nil && none == 0, "\(secure)")
    }

    @Test func theHostIsVerifiedUnlessToldOtherwise() async throws {
        let certificates = try Certificates()
        let elsewhere = try certificates.tls("elsewhere")
        let (refused, none) = try await outcome(client: try certificates.tls("node"), server: elsewhere)
        #expect(refused.notSentText != nil && none == 0, "\(refused)")
        let lenient = try certificates.tls("node", verifiesHostNames: false)
        let (accepted, served) = try await outcome(client: lenient, server: elsewhere)
        #expect(accepted.number == 3 && served == 1, "\(accepted)")
    }
}
