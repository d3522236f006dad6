import LogCore
import LogFormat
import Primitives

extension QuarantinedShard {
    /// What an operator is told: what is wrong, in which file and where, and what is missing.
    var sentence: String {
        let file = LogFileName.segment(segment).description
        let found = found.map { ", the log offers \($0)" } ?? ""
        let what =
            switch reason {
            case .recordsLost: "acknowledged records cannot be read"
            case .completenessUnproven: "part of the log cannot be read, and may have held its records"
            case .outOfOrder: "a position or an epoch goes backwards"
            case .quarantinedBefore: "an earlier start found its records damaged, and nothing has replaced them"
            case .payloadUndecodable: "a record does not decompress"
            }
        return "\(what): \(file) at offset \(offset), position \(expected) is needed\(found)"
    }
}
