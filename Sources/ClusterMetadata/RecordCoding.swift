private import FoundationEssentials
internal import HashRing
internal import Primitives

/// A record of the metadata store. The value is one JSON object, members in name order, so that an operator can read it
/// with etcdctl; its member `format` is 1. A reader ignores members it does not know and refuses a higher format.
/// 128-bit names and hash seeds are hexadecimal strings, for JSON readers lose bits of large numbers.
public protocol MetadataRecord: Sendable {
    func encoded() -> [UInt8]
    /// - Parameter key: only named in errors.
    init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError)
}

/// Why a value of the metadata store is not the record it should be.
public enum RecordError: Error, Sendable, Equatable {
    case malformed(key: MetadataKey, detail: String)
    /// Written by a newer version of Keystead.
    case unsupportedFormat(key: MetadataKey, found: Int, known: Int)
}

extension RecordError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformed(let key, let detail): "the metadata of \(key) cannot be read: \(detail)"
        case .unsupportedFormat(let key, let found, let known):
            "the metadata of \(key) has format \(found); this version reads formats up to \(known)"
        }
    }
}

private let recordFormat = 1

/// What stands in the JSON object: plain values only, checked when it becomes a record.
private protocol Wire: Codable {
    associatedtype Record
    init(_ record: Record)
    /// `nil` where the values make no such record.
    var record: Record? { get }
}

private struct Format: Codable {
    let format: Int
}

extension Wire {
    fileprivate static func encode(_ record: Record) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return try Array(encoder.encode(Self(record)))
        } catch {
            // Strings, integers and arrays of them always encode; weights are finite.
            preconditionFailure("a metadata record cannot be encoded: \(error)")
        }
    }

    fileprivate static func decode(_ value: [UInt8], of key: MetadataKey) throws(RecordError) -> Record {
        let decoder = JSONDecoder()
        let data = Data(value)
        let wire: Self
        do {
            let format = try decoder.decode(Format.self, from: data).format
            guard format <= recordFormat else {
                throw RecordError.unsupportedFormat(key: key, found: format, known: recordFormat)
            }
            wire = try decoder.decode(Self.self, from: data)
        } catch let error as RecordError {
            throw error
        } catch {
            throw .malformed(key: key, detail: "\(error)")
        }
        guard let record = wire.record else { throw .malformed(key: key, detail: "a value is out of its range") }
        return record
    }
}

private struct ConfigWire: Wire {
    var format = recordFormat
    let name: String
    let cluster: String
    let shards: Int
    let hash: String
    let hashVersion: Int
    let hashSeed: String
    let createdMilliseconds: UInt64

    enum CodingKeys: String, CodingKey {
        case format, name, cluster, shards, hash
        case hashVersion = "hash-version"
        case hashSeed = "hash-seed"
        case createdMilliseconds = "created-ms"
    }

    init(_ record: ClusterConfig) {
        name = record.name
        cluster = record.clusterID.description
        shards = record.shardCount
        hash = RingHash.algorithm
        hashVersion = RingHash.version
        hashSeed = record.hash.seed.hexadecimal
        createdMilliseconds = record.created.milliseconds
    }

    var record: ClusterConfig? {
        guard let clusterID = UniqueID(cluster), Ring.isShardCount(shards), hash == RingHash.algorithm,
            hashVersion == RingHash.version, let seed = UInt64(hexadecimal: hashSeed[...])
        else { return nil }
        return ClusterConfig(
            name: name, clusterID: clusterID, shardCount: shards, hash: RingHash(seed: seed),
            created: Timestamp(milliseconds: createdMilliseconds))
    }
}

private struct NodeWire: Wire {
    var format = recordFormat
    let id: NodeID
    let store: String
    let boots: UInt64
    let state: NodeState
    let zone: String
    let weightThousandths: UInt32
    let listen: String
    let admin: String
    let peer: String

    enum CodingKeys: String, CodingKey {
        case format, id, store, boots, state, zone, listen, admin, peer
        case weightThousandths = "weight-thousandths"
    }

    init(_ record: NodeRecord) {
        id = record.id
        store = record.storeID.description
        boots = record.bootCount
        state = record.state
        zone = record.zone
        weightThousandths = record.weight.thousandths
        listen = record.addresses.listen
        admin = record.addresses.admin
        peer = record.addresses.peer
    }

    var record: NodeRecord? {
        guard let storeID = UniqueID(store), weightThousandths <= NodeWeight.thousandthsMax else { return nil }
        return NodeRecord(
            id: id, storeID: storeID, bootCount: boots, state: state, zone: zone,
            weight: NodeWeight(thousandths: weightThousandths),
            addresses: NodeAddresses(listen: listen, admin: admin, peer: peer))
    }
}

private struct ShardWire: Wire {
    struct Move: Codable {
        let stage: ShardMove.Stage
        let from: NodeID
        let to: NodeID
        let operation: String
    }

    var format = recordFormat
    let epoch: UInt64
    let primary: NodeID
    let replicas: [NodeID]
    let inSync: [NodeID]
    let move: Move?

    enum CodingKeys: String, CodingKey {
        case format, epoch, primary, replicas, move
        case inSync = "in-sync"
    }

    init(_ record: ShardRecord) {
        epoch = record.epoch.rawValue
        primary = record.primary
        replicas = record.replicas
        inSync = record.inSync
        move = record.move.map { Move(stage: $0.stage, from: $0.from, to: $0.to, operation: $0.operation) }
    }

    var record: ShardRecord? {
        guard replicas.contains(primary), inSync.contains(primary), inSync.allSatisfy(replicas.contains) else {
            return nil
        }
        return ShardRecord(
            epoch: Epoch(epoch), primary: primary, replicas: replicas, inSync: inSync,
            move: move.map { ShardMove(stage: $0.stage, from: $0.from, to: $0.to, operation: $0.operation) })
    }
}

private struct MapRevisionWire: Wire {
    var format = recordFormat
    let revision: UInt64

    init(_ record: MapRevision) { revision = record.rawValue }

    var record: MapRevision? { MapRevision(revision) }
}

extension ClusterConfig: MetadataRecord {
    public func encoded() -> [UInt8] { ConfigWire.encode(self) }
    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        self = try ConfigWire.decode(value, of: key)
    }
}

extension NodeRecord: MetadataRecord {
    public func encoded() -> [UInt8] { NodeWire.encode(self) }
    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        self = try NodeWire.decode(value, of: key)
    }
}

extension ShardRecord: MetadataRecord {
    public func encoded() -> [UInt8] { ShardWire.encode(self) }
    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        self = try ShardWire.decode(value, of: key)
    }
}

extension MapRevision: MetadataRecord {
    public func encoded() -> [UInt8] { MapRevisionWire.encode(self) }
    public init(decoding value: [UInt8], of key: MetadataKey) throws(RecordError) {
        self = try MapRevisionWire.decode(value, of: key)
    }
}
