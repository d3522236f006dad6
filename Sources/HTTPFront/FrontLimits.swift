internal import Primitives

/// Bounds that only the front knows.
enum FrontLimits {
    /// Answers that have been encoded but not handed to the socket; beyond it they are handed over before more is
    /// decoded.
    static let outputBytesMax = 1 << 20
    /// The socket's queue: above the high mark no more requests are decoded, until it is below the low mark.
    static let socketQueueBytesHigh = 1 << 20
    static let socketQueueBytesLow = 256 << 10
    /// Answers of one connection that are being made, wait for their turn or wait for the socket. From here on nothing
    /// more is decoded, so a client that does not read holds this much, or one answer that is larger.
    static let answersHeldBytesMax = 1 << 20
    /// What an answer is taken to be before it is known: of a read, at first and at least; of a page; of an admin
    /// request; of everything else.
    static let readAnswerBytesFirst = 128 << 10
    static let readAnswerBytesMin = 16 << 10
    static let pageAnswerBytes = answersHeldBytesMax
    static let adminAnswerBytes = 256 << 10
    static let plainAnswerBytes = 512
    /// The same of a read in a batch.
    static let lineAnswerBytesFirst = 64 << 10
    static let lineAnswerBytesMin = 4 << 10
    /// An unfinished head or line that came in a buffer with more room than this beyond its own bytes is copied out of
    /// it.
    static let inputSlackBytesMax = 4 << 10
    /// Room for an unfinished body or line whose length is not known is charged in steps of this size.
    static let bodyChargeBytes = 64 << 10
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
    /// One chunk of a batch. A body of any length may come in chunks; none that anybody sends is as long as this.
    static let batchChunkBytesMax = 1 << 32
    /// Origins whose pages may use a listener.
    static let allowedOriginsMax = 64
    /// Of a name that a refusal repeats.
    static let shownNameCharactersMax = 64
    /// A list prefix longer than any id matches nothing.
    static let listPrefixBytesMax = Limits.idBytesMax
}
