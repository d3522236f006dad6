import Glibc

/// The processor time of the calling thread, user and system.
enum ThreadTime {
    /// Nanoseconds since the thread began (CLOCK_THREAD_CPUTIME_ID: what getrusage counts, in finer steps).
    static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
