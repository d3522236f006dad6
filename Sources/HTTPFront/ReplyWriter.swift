internal import Entities
internal import NIOCore
internal import Primitives

/// Writes whole responses. One lives on the stack for one reply.
struct ReplyWriter {
    let loop: LoopContext
    let persistence: Persistence
    /// The head says what a body would be, and none follows.
    let isHead: Bool
    /// The allowed origin that asked.
    let origin: DoorPolicy.OriginMark?

    /// Writes the response to `exchange` behind what `output` holds and returns its status.
    func write(_ reply: Reply, listShape: ListShape?, to output: inout ByteBuffer) -> Int {
        switch reply {
        case .answer(let answer): return write(answer, listShape: listShape, to: &output)
        case .refusal(let refusal): return write(refusal, to: &output)
        case .plain(let response): return write(response, to: &output)
        case .preflight:
            start(204, &output)
            output.writeStaticString(DoorPolicy.preflightFields)
            output.writeHeadEnd(length: nil, persistence: persistence)
            return 204
        }
    }

    /// The status line, and the fields that stand on every answer.
    private func start(_ status: Int, _ output: inout ByteBuffer) {
        output.writeStatus(status, date: loop.date())
        loop.door.writeFields(origin, to: &output)
    }

    private func write(_ answer: Answer, listShape: ListShape?, to output: inout ByteBuffer) -> Int {
        switch answer {
        case .found(let record, let position):
            start(200, &output)
            output.writePosition(position)
            writeState(record, version: record.version, to: &output)
            return 200
        case .notModified(let record, let position):
            start(304, &output)
            output.writePosition(position)
            output.writeETag(record.version)
            output.writeLastModified(record.updatedAt)
            output.writeHeadEnd(length: nil, persistence: persistence)
            return 304
        case .written(let status, let version, let position, let representation, let replayed):
            let status = Int(status)
            start(status, &output)
            output.writePosition(position)
            if replayed { output.writeStaticString("Idempotency-Replayed: true\r\n") }
            if let representation {
                writeState(representation, version: version, to: &output)
            } else {
                output.writeETag(version)
                output.writeHeadEnd(length: status == 204 ? nil : 0, persistence: persistence)
            }
            return status
        case .outcome(let status, let version, let position):
            return writeOutcome(status: status, version: version, position, to: &output)
        case .page(let page):
            return write(page, listShape: listShape, to: &output)
        case .refused(let problem, let currentVersion, let position):
            return write(Refusal(problem, position: position, currentVersion: currentVersion), to: &output)
        }
    }

    private func writeState(_ record: StoredRecord, version: Position, to output: inout ByteBuffer) {
        output.writeETag(version)
        output.writeLastModified(record.updatedAt)
        if record.expiresAt != nil, let seconds = record.secondsLeft(at: loop.wallSeconds()) {
            output.writeTimeToLive(seconds)
        }
        output.writeContentType(record.contentType)
        output.writeHeadEnd(length: record.state.count, persistence: persistence)
        if !isHead { output.writeBytes(record.state) }
    }

    private func writeOutcome(
        status: UInt16, version: Position, _ position: ShardPosition, to output: inout ByteBuffer
    ) -> Int {
        loop.bodyScratch.clear()
        loop.bodyScratch.writeStaticString("{\"status\":")
        loop.bodyScratch.writeDecimal(Int(status))
        loop.bodyScratch.writeStaticString(",\"etag\":\"\\\"")
        loop.bodyScratch.writeDecimal(version.rawValue)
        loop.bodyScratch.writeStaticString("\\\"\"}")
        start(200, &output)
        output.writePosition(position)
        writeScratchBody("application/json", to: &output)
        return 200
    }

    private func write(_ page: ListPage, listShape: ListShape?, to output: inout ByteBuffer) -> Int {
        if listShape?.mustBeFull == true, !page.missing.isEmpty {
            return write(Refusal(ListPageText.missingProblem(page.missing)), to: &output)
        }
        loop.bodyScratch.clear()
        if let text = page.text {
            loop.bodyScratch.writeBytes(text)
        } else {
            loop.bodyScratch.writePage(
                page,
                shape: PageTextShape(
                    withValues: listShape?.withValues == true, ringSeed: listShape?.ringSeed ?? 0,
                    textBytesMax: listShape == nil ? .max : loop.pageTextBytesMax,
                    secondsSince1970: loop.wallSeconds()))
        }
        start(200, &output)
        writeScratchBody("application/json", to: &output)
        // A page with values may be large; its memory is not kept for the life of the loop.
        if loop.bodyScratch.capacity > FrontLimits.keptBufferBytesMax { loop.bodyScratch = ByteBuffer() }
        return 200
    }

    private func write(_ refusal: Refusal, to output: inout ByteBuffer) -> Int {
        let code = refusal.problem.code
        loop.counters.count(code)
        loop.bodyScratch.clear()
        loop.bodyScratch.writeProblem(refusal.problem)
        start(code.status, &output)
        if let position = refusal.position { output.writePosition(position) }
        if let version = refusal.currentVersion { output.writeETag(version) }
        if let allow = refusal.allow {
            output.writeStaticString("Allow: ")
            output.writeStaticString(allow)
            output.writeStaticString("\r\n")
        }
        if code == .unsupportedMediaType { output.writeStaticString(PatchMediaTypes.acceptFields) }
        writeRetryAfter(code, to: &output)
        writeScratchBody("application/problem+json", to: &output)
        return code.status
    }

    private func write(_ response: AdminResponse, to output: inout ByteBuffer) -> Int {
        loop.bodyScratch.clear()
        if let problem = response.problem {
            loop.counters.count(problem.code)
            loop.bodyScratch.writeProblem(problem)
        } else {
            loop.bodyScratch.writeBytes(response.body)
        }
        start(response.status, &output)
        for field in response.fields {
            output.writeString(field.name)
            output.writeStaticString(": ")
            output.writeString(field.value)
            output.writeStaticString("\r\n")
        }
        if let problem = response.problem { writeRetryAfter(problem.code, to: &output) }
        output.writeContentType(ArraySlice(response.contentType.utf8))
        output.writeHeadEnd(length: loop.bodyScratch.readableBytes, persistence: persistence)
        if !isHead { output.writeImmutableBuffer(loop.bodyScratch) }
        return response.status
    }

    private func writeRetryAfter(_ code: ProblemCode, to output: inout ByteBuffer) {
        guard code.hasRetryAfter else { return }
        output.writeStaticString("Retry-After: ")
        output.writeDecimal(loop.retryAfterSeconds())
        output.writeStaticString("\r\n")
    }

    private func writeScratchBody(_ contentType: StaticString, to output: inout ByteBuffer) {
        output.writeStaticString("Content-Type: ")
        output.writeStaticString(contentType)
        output.writeStaticString("\r\n")
        output.writeHeadEnd(length: loop.bodyScratch.readableBytes, persistence: persistence)
        if !isHead { output.writeImmutableBuffer(loop.bodyScratch) }
    }
}
