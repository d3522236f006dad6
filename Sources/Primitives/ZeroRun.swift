private import CPosixShims

/// Zero-filled stretches of files.
public enum ZeroRun {
    /// How many bytes at the start of `buffer` are zero. O(n), eight bytes a step.
    public static func length(of buffer: UnsafeRawBufferPointer) -> Int {
        guard let base = buffer.baseAddress else { return 0 }
        return ks_zero_prefix(base, buffer.count)
    }
}
