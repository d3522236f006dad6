internal import FoundationEssentials

// What etcd's JSON gateway is asked and what it answers: proto3's JSON mapping with etcd's own field names. Fields that
// are zero, empty or false are left out of answers; 64-bit numbers are strings; bytes are base64, as `Data` codes them.

/// A 64-bit number, written as a string and read as one or as a number.
struct WideNumber: Codable, Equatable {
    let value: UInt64

    init(_ value: UInt64) { self.value = value }

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            // Lease names and member names are signed where revisions are not.
            guard let value = UInt64(text) ?? Int64(text).map(UInt64.init(bitPattern:)) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "'\(text)' is not a number")
            }
            self.value = value
        } else {
            value = try container.decode(UInt64.self)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(String(value))
    }
}

struct NoFields: Codable {}

struct AnswerHeader: Decodable {
    let revision: WideNumber?
}

/// How a call failed; streams wrap it once more.
struct ErrorAnswer: Decodable {
    let code: Int?
    let grpc_code: Int?
    let message: String?
    let error: String?
}

struct StreamAnswer<Result: Decodable & Sendable>: Decodable, Sendable {
    let result: Result?
    let error: ErrorAnswer?
}

struct KeyValue: Decodable {
    let key: Data
    let value: Data?
    let create_revision: WideNumber?
    let mod_revision: WideNumber?
    let lease: WideNumber?
}

struct RangeRequest: Codable {
    var key: Data
    var range_end: Data?
    var limit: WideNumber?
    /// Nothing: the newest, linearizable.
    var revision: WideNumber?
    var count_only: Bool?
}

struct RangeAnswer: Decodable {
    let header: AnswerHeader
    let kvs: [KeyValue]?
    let more: Bool?
}

struct TransactionRequest: Encodable {
    struct Compare: Encodable {
        var key: Data
        var target: String
        var result: String
        var create_revision: WideNumber?
        var mod_revision: WideNumber?
    }

    struct Put: Encodable {
        var key: Data
        var value: Data
        var lease: WideNumber?
    }

    struct Delete: Encodable {
        var key: Data
    }

    struct Operation: Encodable {
        var request_put: Put?
        var request_delete_range: Delete?
        var request_range: RangeRequest?
    }

    var compare: [Compare]
    var success: [Operation]
    var failure: [Operation]
}

struct TransactionAnswer: Decodable {
    let header: AnswerHeader
    let succeeded: Bool?
}

struct WatchRequest: Encodable {
    struct Create: Encodable {
        var key: Data
        var range_end: Data
        var start_revision: WideNumber
        var progress_notify = true
        var fragment = true
    }

    var create_request: Create
}

struct WatchAnswer: Decodable, Sendable {
    struct Event: Decodable {
        /// `DELETE`; nothing for a put.
        let type: String?
        let kv: KeyValue?
    }

    let header: AnswerHeader?
    let created: Bool?
    let canceled: Bool?
    let compact_revision: WideNumber?
    let cancel_reason: String?
    /// More of the same answer follows.
    let fragment: Bool?
    let events: [Event]?
}

struct LeaseRequest: Encodable {
    var ID: WideNumber?
    var TTL: WideNumber?
}

struct LeaseAnswer: Decodable {
    let ID: WideNumber?
    /// Seconds; nothing where the lease has ended.
    let TTL: WideNumber?
}

struct TokenRequest: Encodable {
    var name: String
    var password: String
}

struct TokenAnswer: Decodable {
    let token: String
}

struct StatusAnswer: Decodable {
    let version: String
}
