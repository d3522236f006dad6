@testable import Entities
import JSON
import Primitives

/// A patch document on a state, cut at the first zero byte: nothing traps, and a result is JSON within its bounds.
#if KEYSTEAD_FUZZ
    @_cdecl("LLVMFuzzerTestOneInput")
#endif
public func fuzzPatches(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let parts = input.split(separator: 0, maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count == 3, let selector = parts[0].first else { return 0 }
    let kinds = [PatchKind.merge, .jsonPatch, .update]
    let bytesMax = 1 << 16
    var work = PatchWork(bytesMax: bytesMax)
    guard let document = try? PatchDocument(kinds[Int(selector) % kinds.count], Array(parts[1]), &work),
        let whole = result(of: document, on: Array(parts[2]), wholeBytesMax: .max, bytesMax),
        let result = result(of: document, on: Array(parts[2]), wholeBytesMax: 0, bytesMax)
    else { return 0 }
    precondition(whole.encoded() == result.encoded(), "a state read whole and one read in parts come to different ends")
    let text = result.encoded()
    guard let again = try? JSONValue(parsing: text) else { fatalError("a patched state is no JSON, or too deep") }
    precondition(again.encoded() == text)
    return 0
}

private func result(
    of document: PatchDocument, on state: [UInt8], wholeBytesMax: Int, _ bytesMax: Int
) -> JSONValue? {
    guard let read = try? JSONDocument.read(state, weightMax: .max, wholeBytesMax: wholeBytesMax) else { return nil }
    var editor = JSONEditor(read.value, work: PatchWork(bytesMax: bytesMax))
    guard (try? document.apply(to: &editor)) != nil else { return nil }
    return editor.root
}
