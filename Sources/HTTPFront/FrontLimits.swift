internal import Primitives

/// Bounds that only the front knows.
enum FrontLimits {
    /// Answers that have been encoded but not handed to the socket; beyond it they are handed over before more is
    /// decoded.
    static let outputBytesMax = 1 << 20
    /// The socket's queue: above the high mark no more requests are decoded, until it is below the low mark.
    static let socketQueueBytesHigh = 1 << 20
    static let socketQueueBytesLow = 256 << 10
    /// A buffer that grew beyond this is given back after use.
    static let keptBufferBytesMax = 64 << 10
    /// Bytes of bodies that are being run for one connection; reading stops there.
    static let pipelinedBytesMax = Limits.batchBytesInFlightMax
    /// After the last answer, what the client still sends is read and dropped for so long and so much, so that a reset
    /// does not destroy the answer on its way (RFC 9112 §9.6).
    static let lingerSecondsMax: UInt64 = 5
    static let lingerBytesMax = 2 * Limits.entityBytesCeiling
    /// Connections over the bound that are told so; any more are closed without a word.
    static let refusedConnectionsMax = 64
    /// Of the connections of a listener, one address holds this part at most.
    static let addressShare = 2
    /// A caller that has shut its side, and waits for a list this long, is asked whether it is still there.
    static let absenceMilliseconds: Int64 = 200
    static let absenceAgainMilliseconds: Int64 = 1000
    /// The timer of a connection comes at least this often. No deadline is nearer than this when it is set, so that
    /// setting one never needs to move the timer.
    static let tickSecondsMax: UInt64 = 5
    /// The body of an admin request.
    static let adminBodyBytesMax = 1 << 20
    /// A list prefix longer than any id matches nothing.
    static let listPrefixBytesMax = Limits.idBytesMax
}
