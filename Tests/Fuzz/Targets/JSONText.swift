import Entities
import JSON
import Primitives

/// JSON text: nothing traps, and what is accepted is written so that it reads back as the same value and the same text.
#if KEYSTEAD_FUZZ
    @_cdecl("LLVMFuzzerTestOneInput")
#endif
public func fuzzJSON(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    let isChecked = (try? JSONValue.check(input[...])) != nil
    guard let value = try? JSONValue(parsing: input) else {
        precondition(!isChecked, "a check passed what cannot be read")
        return 0
    }
    precondition(isChecked, "a check refused what can be read")
    let text = value.encoded()
    guard let again = try? JSONValue(parsing: text) else { fatalError("what was written is no JSON") }
    precondition(again.encoded() == text, "writing is not stable")
    return 0
}
