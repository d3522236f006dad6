internal import Glibc
internal import NIOCore
internal import NIOPosix

/// What an error of the network is in words of people: the raw ones name descriptors and classes.
public enum NetworkFailure {
    /// A phrase for the end of a sentence: `connection refused`. An error that is not the network's stays as it is.
    public static func words(_ error: any Error) -> String {
        switch error {
        case let error as IOError:
            // As the C library has them but for the capital: `Address already in use`.
            let text = String(cString: strerror(error.errnoCode))
            return text.prefix(1).lowercased() + text.dropFirst()
        case let error as NIOConnectionError:
            if let attempt = error.connectionErrors.first { return words(attempt.error) }
            return "the name \(error.host) does not resolve"
        case ChannelError.connectTimeout: return "no connection in time"
        default: return "\(error)"
        }
    }
}
