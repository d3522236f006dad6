@testable import Entities
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
    guard let document = try? PatchDocument(kinds[Int(selector) % kinds.count], Array(parts[1])),
        let state = try? JSONValue(parsing: parts[2]),
        let result = try? document.apply(to: state, byteCount: input.count, bytesMax: 1 << 16)
    else { return 0 }
    let text = result.encoded()
    guard let again = try? JSONValue(parsing: text) else { fatalError("a patched state is no JSON, or too deep") }
    precondition(again.encoded() == text)
    return 0
}
