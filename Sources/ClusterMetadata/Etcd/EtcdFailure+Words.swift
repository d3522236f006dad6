internal import AsyncHTTPClient
internal import Glibc
internal import NIOCore
internal import NIOPosix

extension EtcdFailure {
    /// What an error on the way to etcd is in words of people, for the end of a sentence.
    static func words(_ error: any Error) -> String {
        switch error {
        case let error as IOError:
            // As the C library has them but for the capital: `Connection refused`.
            let text = String(cString: strerror(error.errnoCode))
            return text.prefix(1).lowercased() + text.dropFirst()
        case let error as NIOConnectionError:
            if let attempt = error.connectionErrors.first { return words(attempt.error) }
            return "the name \(error.host) does not resolve"
        case let error as HTTPClientError: return words(error)
        case ChannelError.connectTimeout: return "no connection in time"
        default: return "\(error)"
        }
    }

    private static func words(_ error: HTTPClientError) -> String {
        switch error {
        case .deadlineExceeded, .readTimeout, .writeTimeout: "no answer in time"
        case .connectTimeout, .getConnectionFromPoolTimeout: "no connection in time"
        case .tlsHandshakeTimeout: "TLS was not agreed on in time"
        case .remoteConnectionClosed: "the connection was closed"
        default: "\(error)"
        }
    }
}
