import Glibc

/// A TCP connection that sends exactly the bytes it is given and reads answers one by one. For one thread at a time.
final class RawConnection {
    static let patienceSeconds = 40.0

    private let descriptor: Int32
    private var received: [UInt8] = []
    private var consumed = 0

    /// - Parameter host: an IPv4 address.
    init(host: String = "127.0.0.1", port: UInt16) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessError("no socket: \(Self.reason())") }
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        var address = socketAddress(host, port)
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else {
            throw CannotConnect(description: "cannot connect to port \(port): \(Self.reason())")
        }
    }

    deinit { close(descriptor) }

    private static func reason() -> String { String(cString: strerror(errno)) }

    // MARK: Sending

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        let deadline = Deadline(seconds: Self.patienceSeconds)
        var sent = 0
        while sent < bytes.count {
            guard wait(for: POLLOUT, until: deadline) else { throw HarnessError("the peer takes no more bytes") }
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { throw HarnessError("cannot send: \(Self.reason())") }
            sent += count
        }
    }

    /// Says that nothing more will come.
    func finishSending() { shutdown(descriptor, Int32(SHUT_WR)) }

    // MARK: Receiving

    /// Reads one answer, interim (1xx) ones included. `toHead`: no body follows, whatever the length says.
    func answer(toHead: Bool = false, seconds: Double = patienceSeconds) throws -> HTTPAnswer {
        let deadline = Deadline(seconds: seconds)
        var answer = try head(until: deadline)
        let bodiless = toHead || answer.status < 200 || answer.status == 204 || answer.status == 304
        if bodiless { return answer }
        if answer["Transfer-Encoding"] == "chunked" {
            while let chunk = try chunk(until: deadline) { answer.body += chunk }
        } else if let length = answer["Content-Length"].flatMap(Int.init) {
            answer.body = try take(length, until: deadline)
        } else {
            while try receive(until: deadline) {}
            answer.body = Array(received[consumed...])
            consumed = received.count
        }
        return answer
    }

    /// The head of the next answer alone; its body is then read with ``chunk(seconds:)``.
    func head(seconds: Double = patienceSeconds) throws -> HTTPAnswer { try head(until: Deadline(seconds: seconds)) }

    /// The next chunk of a chunked body, or `nil` at its end.
    func chunk(seconds: Double = patienceSeconds) throws -> [UInt8]? { try chunk(until: Deadline(seconds: seconds)) }

    /// Whether the peer closes within `seconds`. Bytes that it sends before are an error.
    func isClosedByPeer(within seconds: Double = 5) throws -> Bool {
        guard consumed == received.count else {
            throw HarnessError(
                "the peer went on: \(String(decoding: received[consumed...].prefix(300), as: UTF8.self))")
        }
        let deadline = Deadline(seconds: seconds)
        guard wait(for: POLLIN, until: deadline) else { return false }
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT))
        if count > 0 { throw HarnessError("the peer sent more bytes where it should have closed") }
        return count == 0 || errno == ECONNRESET
    }

    /// Everything until the peer closes, `nil` when it does not.
    func remainder(within seconds: Double) throws -> [UInt8]? {
        let deadline = Deadline(seconds: seconds)
        do {
            while try receive(until: deadline) {}
        } catch {
            return nil
        }
        defer { consumed = received.count }
        return Array(received[consumed...])
    }

    private func head(until deadline: Deadline) throws -> HTTPAnswer {
        var lines: [String] = []
        while true {
            let line = try line(until: deadline)
            if line.isEmpty, !lines.isEmpty { break }
            lines.append(line)
        }
        return try HTTPAnswer(lines: lines)
    }

    private func chunk(until deadline: Deadline) throws -> [UInt8]? {
        let sizeLine = try line(until: deadline)
        guard let size = Int(sizeLine, radix: 16) else { throw HarnessError("not a chunk size: '\(sizeLine)'") }
        let bytes = try take(size, until: deadline)
        guard try line(until: deadline).isEmpty else { throw HarnessError("a chunk without an end") }
        return size == 0 ? nil : bytes
    }

    /// The next line without its CR LF, which must be there.
    private func line(until deadline: Deadline) throws -> String {
        dropConsumed()
        var searched = consumed
        while true {
            if let feed = received[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                guard feed > consumed, received[feed - 1] == UInt8(ascii: "\r") else {
                    throw HarnessError("a line ends in a bare LF")
                }
                defer { consumed = feed + 1 }
                return String(decoding: received[consumed..<(feed - 1)], as: UTF8.self)
            }
            searched = received.count
            guard try receive(until: deadline) else { throw ConnectionClosed() }
        }
    }

    private func take(_ count: Int, until deadline: Deadline) throws -> [UInt8] {
        dropConsumed()
        while received.count - consumed < count {
            guard try receive(until: deadline) else { throw HarnessError("closed in the middle of a body") }
        }
        defer { consumed += count }
        return Array(received[consumed..<(consumed + count)])
    }

    private func dropConsumed() {
        guard consumed > 1 << 20 else { return }
        received.removeFirst(consumed)
        consumed = 0
    }

    /// False at the end of the stream.
    private func receive(until deadline: Deadline) throws -> Bool {
        guard wait(for: POLLIN, until: deadline) else { throw HarnessError("no answer in time") }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0, errno == EAGAIN || errno == EINTR { return true }
        if count < 0, errno == ECONNRESET { return false }
        guard count >= 0 else { throw HarnessError("cannot receive: \(Self.reason())") }
        received += buffer[..<count]
        return count > 0
    }

    private func wait(for event: Int32, until deadline: Deadline) -> Bool {
        while true {
            var request = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            let ready = poll(&request, 1, deadline.millisecondsLeft)
            if ready > 0 { return true }
            if ready < 0, errno == EINTR { continue }
            return false
        }
    }
}

/// The peer closed where an answer should begin.
struct ConnectionClosed: Error {}

/// Nobody listens there: nothing was sent.
struct CannotConnect: Error, CustomStringConvertible {
    let description: String
}
