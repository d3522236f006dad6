import ClusterCore
import Foundation
import Primitives
import Testing

@testable import ClusterMetadata

/// What lies between the store and etcd: lost answers, closed ports, TLS, users.
@Suite struct EtcdConnectionTests {
    let key = MetadataKey("k")

    init() async throws { try await waitForQuiet() }

    private func expectUnavailable(
        _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> Void
    ) async {
        let error = await #expect(throws: MetadataError.self, sourceLocation: sourceLocation) { try await body() }
        guard case .unavailable(let detail) = error, what.isEmpty || detail.contains(what) else {
            Issue.record("\(String(describing: error))", sourceLocation: sourceLocation)
            return
        }
    }

    /// A transaction whose answer is lost is not sent again, although another endpoint stands ready; reads are.
    @Test func lostAnswerIsUnknown() async throws {
        let etcd = try EtcdCluster.shared.get()
        let proxy = AnswerDroppingProxy(to: etcd.members[0].member.clientPort)
        let port = try await proxy.start()
        let name = UUID().uuidString
        let direct = try etcd.store(cluster: name)
        try await direct.waitUntilReady()
        let location = try EtcdLocation("etcd://127.0.0.1:\(port),127.0.0.1:\(etcd.members[0].member.clientPort)")
        let store = try EtcdMetadata(location, cluster: name)
        let before = try await store.commit(.put(key, [1]))
        proxy.setDropsAnswers(true)
        let error = await #expect(throws: MetadataError.self) {
            try await store.transaction(MetadataTransaction(if: [.lastPut(key, at: before)], then: [.put(key, [2])]))
        }
        guard case .outcomeUnknown = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        // It did happen, once.
        let entry = try #require(try await direct.get(key).value)
        #expect(entry.value == [2])
        // A store that has not seen the proxy fail reads through the other endpoint.
        let fresh = try EtcdMetadata(location, cluster: name)
        #expect(try await fresh.get(key).value == entry)
        // And this one goes on there.
        _ = try await store.commit(.put(key, [3]))
        #expect(try await direct.get(key).value?.value == [3])
        try await proxy.close()
        for store in [direct, store, fresh] { await store.close() }
    }

    /// Nothing was sent where nobody listens: a transaction goes elsewhere, or is surely not done.
    @Test func closedPortIsPassedBy() async throws {
        let etcd = try EtcdCluster.shared.get()
        let closed = try EtcdProcess.freePorts(1)[0]
        let open = etcd.members[0].member.clientPort
        let store = try EtcdMetadata(
            EtcdLocation("etcd://127.0.0.1:\(closed),127.0.0.1:\(open)"), cluster: UUID().uuidString)
        let revision = try await store.commit(.put(key, [1]))
        #expect(try await store.get(key).value?.modRevision == revision)
        await store.close()
        let nowhere = try EtcdMetadata(EtcdLocation("etcd://127.0.0.1:\(closed)"), cluster: "c")
        await expectUnavailable("connection refused") { _ = try await nowhere.commit(.put(key, [1])) }
        await expectUnavailable { _ = try await nowhere.versionWarning() }
        await nowhere.close()
    }

    // MARK: Users

    @Test func usersAndTokens() async throws {
        let etcd = try EtcdCluster()
        try etcd.start()
        try await etcd.store().waitUntilReady()
        _ = try await etcd.post("auth/user/add", ["name": "root", "password": "r"])
        _ = try await etcd.post("auth/user/grant", ["user": "root", "role": "root"])
        _ = try await etcd.post("auth/user/add", ["name": "keystead", "password": "secret"])
        _ = try await etcd.post("auth/role/add", ["name": "keystead"])
        struct Permission: Encodable {
            var permType = "READWRITE"
            var key = Data("/keystead/orders/".utf8)
            var range_end = Data("/keystead/orders0".utf8)
        }
        struct Grant: Encodable {
            var name = "keystead"
            var perm = Permission()
        }
        let transport = try EtcdTransport(etcd.location())
        let _: NoFields = try await transport.call("auth/role/grant", Grant(), repeating: .always)
        await transport.close()
        _ = try await etcd.post("auth/user/grant", ["user": "keystead", "role": "keystead"])
        var location = try etcd.location()
        location.user = "keystead"
        location.password = Secret("secret")
        // A user is given before etcd asks for one.
        let early = try EtcdMetadata(location, cluster: "orders")
        _ = try await early.commit(.put(key, [1]))
        _ = try await etcd.post("auth/enable", [:])
        let read = try await early.get(key)
        #expect(read.value?.value == [1])
        var changes = early.watch(prefix: key, after: read.revision).makeAsyncIterator()
        let session = try await early.openSession(timeToLiveSeconds: 20)
        let put = try await early.commit(.put(key, [2], session: session.id))
        #expect(try await changes.next()?.revision == put)

        let anonymous = try EtcdMetadata(etcd.location(), cluster: "orders")
        await expectUnavailable("user name is empty") { _ = try await anonymous.get(key) }
        await expectUnavailable("user name is empty") { _ = try await anonymous.commit(.put(key, [])) }
        location.password = Secret("wrong")
        let wrong = try EtcdMetadata(location, cluster: "orders")
        await expectUnavailable("invalid user ID or password") { _ = try await wrong.get(key) }
        location.password = Secret("secret")
        let elsewhere = try EtcdMetadata(location, cluster: "payments")
        await expectUnavailable("permission denied") { _ = try await elsewhere.get(key) }
        await expectUnavailable("permission denied") { _ = try await elsewhere.commit(.put(key, [])) }
        await #expect(throws: MetadataError.self) {
            for try await _ in elsewhere.watch(prefix: key, after: .zero) {}
        }

        // Tokens live in etcd's memory: all are gone when it starts again.
        etcd.members[0].stop()
        try etcd.members[0].start()
        try await early.waitUntilReady()
        try await session.end()
        #expect(try await changes.next()?.events == [.delete(key)])
        _ = try await early.commit(.put(key, [3]))
        for store in [early, anonymous, wrong, elsewhere] { await store.close() }
    }

    // MARK: TLS

    @Test func certificatesOfBothSides() async throws {
        let certificates = try Certificates()
        let etcd = try EtcdCluster(
            extra: [
                "--cert-file", certificates.file("server.pem"), "--key-file", certificates.file("server.key"),
                "--client-cert-auth", "--trusted-ca-file", certificates.file("ca.pem"),
            ], scheme: "https")
        try etcd.start()
        var location = try etcd.location()
        #expect(location.isTLS)
        location.authoritiesFile = certificates.file("ca.pem")
        location.certificateFile = certificates.file("client.pem")
        location.keyFile = certificates.file("client.key")
        let store = try EtcdMetadata(location, cluster: "orders")
        try await store.waitUntilReady()
        let revision = try await store.commit(.put(key, [1]))
        var changes = store.watch(prefix: key, after: .zero).makeAsyncIterator()
        #expect(try await changes.next()?.revision == revision)

        var anonymous = location
        (anonymous.certificateFile, anonymous.keyFile) = (nil, nil)
        var mistrustful = location
        mistrustful.authoritiesFile = certificates.file("other.pem")
        for location in [anonymous, mistrustful] {
            let refused = try EtcdMetadata(location, cluster: "orders")
            await expectUnavailable { _ = try await refused.get(key) }
            await refused.close()
        }
        location.authoritiesFile = certificates.file("missing.pem")
        #expect(throws: MetadataError.self) { try EtcdMetadata(location, cluster: "orders") }
        await store.close()
    }
}

/// An authority with a server's and a client's certificate, and an authority that nobody knows, made by openssl.
private final class Certificates {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        for authority in ["ca", "other"] {
            try openssl(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=\(authority) "
                    + "-keyout \(authority).key -out \(authority).pem")
        }
        try Data("subjectAltName=IP:127.0.0.1\n".utf8).write(to: URL(filePath: file("names")))
        for name in ["server", "client"] {
            try openssl(
                "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=\(name) -keyout \(name).key "
                    + "-out \(name).csr")
            try openssl(
                "x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names "
                    + "-out \(name).pem")
        }
    }

    func file(_ name: String) -> String { directory.path + "/" + name }

    private func openssl(_ arguments: String) throws {
        let process = Process()
        process.executableURL = URL(filePath: try EtcdProcess.program("openssl"))
        process.arguments = arguments.split(separator: " ").map(String.init)
        process.currentDirectoryURL = URL(filePath: directory.path)
        let errors = Pipe()
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw HarnessError("openssl \(arguments): \(text)") }
    }
}
