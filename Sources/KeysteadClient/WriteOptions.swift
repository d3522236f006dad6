/// Names one intended write, so that sending it again cannot do it again: the server stores the outcome with the
/// entity, in the same atomic write, for 24 hours by default.
///
/// One key belongs to one method and body of one entity; with another it is refused (`idempotency-mismatch`).
public struct IdempotencyKey: Hashable, Sendable, CustomStringConvertible {
    public let description: String

    /// `nil` unless `text` is 1 to 255 visible ASCII characters.
    public init?(_ text: String) {
        guard (1...255).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            return nil
        }
        self.description = text
    }

    /// A fresh key, 128 random bits.
    public static func random() -> IdempotencyKey {
        var generator = SystemRandomNumberGenerator()
        let text = hexadecimal(generator.next()) + hexadecimal(generator.next())
        return IdempotencyKey(unchecked: text)
    }

    private init(unchecked text: String) { self.description = text }
}

/// Sixteen digits.
package func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

/// How a write is to be made. All of it is optional.
public struct WriteOptions: Hashable, Sendable {
    public var precondition: Precondition?
    /// With a key, the client may send the write again when its outcome is unknown. Without a key or a precondition it
    /// never does.
    public var idempotencyKey: IdempotencyKey?
    /// Ask a patch for the new state.
    public var returnsState: Bool
    /// For the whole call, retries included; `nil` takes the configuration's.
    public var deadline: Duration?

    public init(
        precondition: Precondition? = nil, idempotencyKey: IdempotencyKey? = nil, returnsState: Bool = false,
        deadline: Duration? = nil
    ) {
        self.precondition = precondition
        self.idempotencyKey = idempotencyKey
        self.returnsState = returnsState
        self.deadline = deadline
    }
}
