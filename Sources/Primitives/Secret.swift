/// A text that must show in no log, error, dump or answer: whoever needs it asks for it by name. Any thread.
public struct Secret: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    private let text: String

    public static let none = Secret("")

    public init(_ text: String) { self.text = text }

    public var isEmpty: Bool { text.isEmpty }

    /// The text itself, for whom it is meant. It goes into no other text.
    public func revealed() -> String { text }

    /// The same for every secret.
    public var description: String { "(secret)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
