import Entities
@testable import HTTPFront
import NIOCore
import Primitives

/// A stream of batch lines in pieces: nothing traps, the pieces do not matter, and an accepted line is within bounds.
#if KEYSTEAD_FUZZ
    @_cdecl("LLVMFuzzerTestOneInput")
#endif
public func fuzzBatchLines(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    guard let step = input.first else { return 0 }
    let whole = lines(input.dropFirst(), step: count)
    precondition(whole == lines(input.dropFirst(), step: Int(step) + 1), "lines depend on the pieces")
    let limits = EntityLimits()
    for case .some(let line) in whole {
        guard let batchLine = try? BatchLine.read(line, seed: 7, limits: limits) else { continue }
        switch batchLine {
        case .read(let request): precondition(request.inQueueOrder)
        case .write(let operation):
            precondition((try? EntityKey(plain: operation.key.bytes[...], seed: 7)) == operation.key)
        }
    }
    return 0
}

/// `nil` stands for a line that was too long.
private func lines(_ input: ArraySlice<UInt8>, step: Int) -> [[UInt8]?] {
    var splitter = LineSplitter(bytesMax: 1 << 10)
    var found: [[UInt8]?] = []
    func add(_ line: LineSplitter.Line) {
        switch line {
        case .text(let text): found.append(text)
        case .tooLong, .givenUp: found.append(nil)
        }
    }
    var rest = input
    while !rest.isEmpty {
        var piece = ByteBuffer(bytes: rest.prefix(step))
        rest = rest.dropFirst(step)
        while let line = splitter.next(&piece) { add(line) }
    }
    if let line = splitter.last() { add(line) }
    return found
}
