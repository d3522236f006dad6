internal import Entities
internal import NIOCore
internal import Primitives

extension ByteBuffer {
    /// One line of a batch's answer, with its LF. Returns the status.
    mutating func writeBatchAnswer(_ answer: Answer) -> Int {
        switch answer {
        case .found(let record, let position):
            writeLineStart(200, record.version, position)
            writeValueMember(record)
            writeStaticString("}\n")
            return 200
        case .notModified(let record, let position):
            writeLineStart(304, record.version, position)
            writeStaticString("}\n")
            return 304
        case .written(let status, let version, let position, let representation, _):
            writeLineStart(Int(status), version, position)
            if let representation { writeValueMember(representation) }
            writeStaticString("}\n")
            return Int(status)
        case .refused(let problem, let currentVersion, let position):
            return writeBatchRefusal(Refusal(problem, position: position, currentVersion: currentVersion))
        case .outcome, .page:
            preconditionFailure("a batch asks for no outcome and no page")
        }
    }

    mutating func writeBatchRefusal(_ refusal: Refusal) -> Int {
        let status = refusal.problem.code.status
        writeLineStart(status, refusal.currentVersion, refusal.position)
        writeStaticString(",\"error\":")
        writeProblem(refusal.problem)
        writeStaticString("}\n")
        return status
    }

    private mutating func writeLineStart(_ status: Int, _ version: Position?, _ position: ShardPosition?) {
        writeStaticString("{\"status\":")
        writeDecimal(status)
        if let version {
            writeStaticString(",\"etag\":")
            writeTagText(version)
        }
        if let position {
            writeStaticString(",\"position\":\"")
            writePositionText(position)
            writeInteger(UInt8(ascii: "\""))
        }
    }
}
