import CPosixShims
import ClusterMetadata
import Glibc
import Primitives

/// A file that an operator named in a setting, as it was read. A link is followed: it is the operator's own word.
struct NamedFile {
    let text: String
    /// The bits that chmod sets.
    let mode: mode_t

    /// Who is neither the owner nor of the group may do something with it.
    var isOpenToOthers: Bool { mode & 0o007 != 0 }
    var modeText: String { "0" + String(mode, radix: 8) }

    /// - Parameter bytesMax: what a file of this kind holds at most.
    init(_ path: String, bytesMax: Int) throws(FolderError) {
        let file = ks_open_named_file(path)
        guard file >= 0 else { throw FolderError(verb: "read", path: path, code: -file) }
        defer { _ = ks_close(file) }
        var status = stat()
        let code = ks_fstat(file, &status)
        guard code == 0 else { throw FolderError(verb: "read", path: path, code: -code) }
        mode = status.st_mode & 0o7777
        let (bytes, failure) = Self.read(file, bytesMax + 1)
        guard failure == 0 else { throw FolderError(verb: "read", path: path, code: failure) }
        guard bytes.count <= bytesMax else {
            throw FolderError(refusal: "\(path) has more than the \(bytesMax) bytes that such a file may have")
        }
        text = String(decoding: bytes, as: UTF8.self)
    }

    /// Up to `count` bytes, from a pipe as well: a shell may give what another program says.
    private static func read(_ file: CInt, _ count: Int) -> (bytes: [UInt8], failure: CInt) {
        var failure: CInt = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = Glibc.read(file, buffer.baseAddress! + filled, count - filled)
                if got < 0, errno == EINTR { continue }
                if got < 0, errno == EAGAIN {
                    // The program behind a pipe has not said anything yet.
                    var ready = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
                    _ = poll(&ready, 1, -1)
                    continue
                }
                if got < 0 { failure = errno }
                guard got > 0 else { return }
                filled += got
            }
        }
        return (bytes, failure)
    }
}

/// A file whose content is secret. Others may not read it; its group may.
enum PrivateFile {
    /// Refuses a file that others may read, or that cannot be read here.
    ///
    /// - Parameter setting: which names it, for the message.
    static func check(_ path: String, _ setting: String) throws(NodeStartError) {
        _ = try read(path, setting, bytesMax: Limits.configurationFileBytesMax)
    }

    /// The one secret that the file holds: its text without the end of its last line.
    static func secret(_ path: String, _ setting: String) throws(NodeStartError) -> Secret {
        var text = Substring(try read(path, setting, bytesMax: Limits.secretFileBytesMax).text)
        // "\r\n" is one character here.
        if text.last?.isNewline == true { text.removeLast() }
        guard !text.isEmpty else {
            throw NodeStartError("\(path) (\(setting)) is empty: it should hold one secret", isRefusal: true)
        }
        guard !text.contains(where: \.isNewline) else {
            throw NodeStartError(
                "\(path) (\(setting)) has several lines: it should hold one secret, in one line", isRefusal: true)
        }
        return Secret(String(text))
    }

    private static func read(
        _ path: String, _ setting: String, bytesMax: Int
    ) throws(NodeStartError) -> NamedFile {
        let file: NamedFile
        do throws(FolderError) {
            file = try NamedFile(path, bytesMax: bytesMax)
        } catch {
            throw NodeStartError("\(error) (\(setting))", isRefusal: true)
        }
        guard !file.isOpenToOthers else {
            throw NodeStartError(
                "others may use \(path) (\(setting), mode \(file.modeText)): run `chmod o-rwx \(path)`",
                isRefusal: true)
        }
        return file
    }
}

extension NodeConfiguration {
    /// With the secrets that stand in files read, and the files of keys looked at. Blocks on the disk.
    func withSecretsRead() throws(NodeStartError) -> NodeConfiguration {
        var configuration = self
        if !metadataCredentials.passwordFile.isEmpty {
            configuration.metadataCredentials.password = try PrivateFile.secret(
                metadataCredentials.passwordFile, "metadata-password-file")
        }
        if !metadataCredentials.key.isEmpty { try PrivateFile.check(metadataCredentials.key, "metadata-key") }
        if let key = peerTLS?.key, !key.isEmpty { try PrivateFile.check(key, "peer-key") }
        if configuration.sendsPasswordInTheOpen {
            configuration.warnings.append(
                "the password of the metadata store goes over the network in the open: use etcds:// (metadata)")
        }
        return configuration
    }

    /// Whether the password leaves this machine without TLS.
    private var sendsPasswordInTheOpen: Bool {
        guard case .etcd(let location) = metadata, !location.isTLS, !metadataCredentials.password.isEmpty else {
            return false
        }
        return location.endpoints.contains { !HostPort(host: $0.host, port: $0.port).isLoopback }
    }
}
