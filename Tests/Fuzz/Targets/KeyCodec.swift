import Entities
import Primitives

/// Keys from paths and from plain text: nothing traps, what is accepted obeys its bounds, and a key reads back as
/// itself.
#if KEYSTEAD_FUZZ
    @_cdecl("LLVMFuzzerTestOneInput")
#endif
public func fuzzKeys(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: start, count: count))
    if let key = try? EntityKey(path: input[...], seed: 7) {
        check(key)
        // `/` and `%2F` are one spelling: encoding every byte of the id gives the same key.
        let hex = Array("0123456789abcdef".utf8)
        let encoded = key.id.flatMap { [UInt8(ascii: "%"), hex[Int($0 >> 4)], hex[Int($0 & 15)]] }
        guard let again = try? EntityKey(path: (key.kind + [UInt8(ascii: "/")] + encoded)[...], seed: 7), again == key
        else {
            fatalError("an encoded key is another key")
        }
    }
    if let key = try? EntityKey(plain: input[...], seed: 7) {
        check(key)
        precondition(key.bytes == input, "plain text is taken as it is")
    }
    return 0
}

private func check(_ key: EntityKey) {
    precondition((1...Limits.kindBytesMax).contains(key.kind.count) && EntityKey.isKind(key.kind))
    precondition((1...Limits.idBytesMax).contains(key.id.count))
    precondition(key.ringHash == XXH64.hash(key.bytes, seed: 7))
    let text = String(validating: key.bytes, as: UTF8.self)
    precondition(text != nil, "a key is UTF-8")
    for scalar in text?.unicodeScalars ?? "".unicodeScalars {
        precondition(scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value), "a key has no control characters")
    }
    let segments = key.id.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    precondition(!segments.contains { $0.elementsEqual([0x2e]) || $0.elementsEqual([0x2e, 0x2e]) })
    precondition((try? EntityKey(plain: key.bytes[...], seed: 7)) == key, "a key reads back as itself")
}
