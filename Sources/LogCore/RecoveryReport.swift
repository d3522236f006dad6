public import LogFormat
public import Primitives

/// What opening a log found and did.
public struct RecoveryReport: Sendable, Equatable {
    /// The log ended with a clean close.
    public var wasClean = false
    public var segmentsRead = 0
    public var bytesRead = 0
    /// Records handed to the stores.
    public var recordsReplayed = 0
    /// Valid records that the stores had already applied.
    public var recordsSkipped = 0
    /// Records of shards that no applied mark names.
    public var recordsOfOtherShards = 0
    /// Records that were valid but perhaps unsynced, and were written again into the new segment.
    public var recordsRepersisted = 0
    public var tornTail: TornTail?
    /// Damage below the durable LSN, whether or not any shard lost something by it.
    public var damage: [LogDamage] = []
    /// In ascending order of shard.
    public var quarantined: [QuarantinedShard] = []
    /// D: everything up to here was certainly synced before this start.
    public var durableLSN = LSN.zero
    /// The last LSN that the log holds now.
    public var lastLSN = LSN.zero
    /// The highest time that any record carries.
    public var highestTime = Timestamp.zero

    public init() {}
}

/// The end of a log that was open at a crash: bytes of a group that was never acknowledged, given up.
public struct TornTail: Sendable, Equatable {
    public let segment: UInt64
    public let offset: Int
    /// The LSN at which the log was cut.
    public let lsn: LSN
    /// Bytes up to the last valid record found behind the cut, or up to the end of a record known by its header.
    public let bytesCut: Int
    /// The copy, where one was kept.
    public let copy: LogFileName?
}

/// A stretch of acknowledged records that cannot be read.
public struct LogDamage: Sendable, Equatable {
    /// The segment it stands in; for a missing segment, the one that should be there.
    public let segment: UInt64
    public let offset: Int
    public let firstLSN: LSN
    public let lastLSN: LSN
    /// The shard, where the record's header is whole.
    public let shard: ShardID?
    public let kind: Kind

    public enum Kind: Sendable, Equatable {
        case recordDamaged
        case headerDamaged
        case segmentMissing
    }
}

/// A shard whose records in the log are not complete. It must not be served; its store and the log's files are kept.
public struct QuarantinedShard: Sendable, Equatable {
    public let shard: ShardID
    public let reason: Reason
    public let segment: UInt64
    public let offset: Int
    /// The next position that the store needs.
    public let expected: Position
    /// The position that the log offers instead, or that is known to exist; `nil` where nothing can be said.
    public let found: Position?

    public enum Reason: Sendable, Equatable {
        /// Positions are missing between the store's and what the log holds.
        case recordsLost
        /// Part of the log is unreadable, and nothing after it proves that the shard had no record there.
        case completenessUnproven
        /// A position or an epoch goes backwards.
        case outOfOrder
        /// An earlier start quarantined the shard, and nothing has replaced its store since.
        case quarantinedBefore
        /// A record's CRC holds and its payload does not decompress.
        case payloadUndecodable
    }
}

/// Why a log was not opened. Nothing was changed that a later start could miss.
public enum LogOpenError: Error, Sendable, Equatable {
    /// A file could not be read; it may be readable later, so nothing is cut.
    case readFailed(file: String, errno: Int32)
    /// A step of recovery's own writing failed.
    case writeFailed(step: String, errno: Int32)
    /// Unsynced records must be written again before serving, and there is no space.
    case storageFull
    /// Written by a newer version of Keystead.
    case newerFormat(file: String, version: UInt32)
    /// A record of a type that this version does not know.
    case unknownRecordType(file: String, offset: Int, type: UInt8)
    case otherCluster(file: String, expected: LogIdentity.Identifier, found: LogIdentity.Identifier)
    case otherNode(file: String, expected: LogIdentity.Identifier, found: LogIdentity.Identifier)
    /// A store refused a record.
    case replayRefused(shard: ShardID, position: Position, reason: String)
}

extension LogOpenError: CustomStringConvertible {
    /// One clear line for the operator.
    public var description: String {
        switch self {
        case .readFailed(let file, let errno):
            "cannot read \(file) (errno \(errno)): refusing to start; the log is left as it is"
        case .writeFailed(let step, let errno):
            "log recovery failed at \(step) (errno \(errno))"
        case .storageFull:
            "no space to write the log's unsynced tail again: free \u{2265} 1 segment and start again"
        case .newerFormat(let file, let version):
            "\(file) has log format \(version); this version reads format \(LogLayout.formatVersion)"
        case .unknownRecordType(let file, let offset, let type):
            "\(file) holds a record of unknown type \(type) at offset \(offset): written by a newer version"
        case .otherCluster(let file, let expected, let found):
            "\(file) belongs to cluster \(found); this node is of cluster \(expected)"
        case .otherNode(let file, let expected, let found):
            "\(file) belongs to node store \(found); this is \(expected)"
        case .replayRefused(let shard, let position, let reason):
            "shard \(shard) refused the record at position \(position): \(reason)"
        }
    }
}
