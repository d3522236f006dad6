private import CPosixShims
private import Glibc

/// State under a mutex, with a condition for each of two threads that wait for it to change: the log's writer and its
/// background thread.
///
/// pthreads and not `Synchronization.Mutex`: a condition is needed, and the mutex must spin and not hand over while
/// event loops and the writer contend for it.
final class Monitor<State>: @unchecked Sendable {
    // SAFETY: `state` is touched only between `lock` and `unlock` of `mutex`, by the methods below, which hand it out
    // for the length of one closure.
    private var state: State
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let conditions = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 2)

    enum Waiter: Int {
        case writer
        case background
    }

    init(_ state: State) {
        self.state = state
        var mutexAttributes = pthread_mutexattr_t()
        pthread_mutexattr_init(&mutexAttributes)
        pthread_mutexattr_settype(&mutexAttributes, CInt(PTHREAD_MUTEX_ADAPTIVE_NP))
        pthread_mutex_init(mutex, &mutexAttributes)
        pthread_mutexattr_destroy(&mutexAttributes)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        for index in 0..<2 { pthread_cond_init(conditions + index, &attributes) }
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        for index in 0..<2 { pthread_cond_destroy(conditions + index) }
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
        conditions.deallocate()
    }

    func withLock<R>(_ body: (inout State) -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&state)
    }

    func signal(_ waiter: Waiter) { pthread_cond_signal(conditions + waiter.rawValue) }

    /// Waits until `isReady`, or for `nanoseconds` at most where they are given, then runs `body`.
    func wait<R>(
        as waiter: Waiter, nanoseconds: UInt64?, until isReady: (State) -> Bool, then body: (inout State) -> R
    ) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        let condition = conditions + waiter.rawValue
        if let nanoseconds {
            var deadline = Self.deadline(after: nanoseconds)
            while !isReady(state), pthread_cond_timedwait(condition, mutex, &deadline) == 0 {}
        } else {
            while !isReady(state) { pthread_cond_wait(condition, mutex) }
        }
        return body(&state)
    }

    private static func deadline(after nanoseconds: UInt64) -> timespec {
        let time = ks_clock_ns(CLOCK_MONOTONIC) &+ nanoseconds
        return timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
    }
}

/// A thread of its own, for blocking calls that must not hold an event loop or the cooperative pool.
final class PosixThread: @unchecked Sendable {
    // SAFETY: `handle` is set once in `init`, before the object is shared, and used once, by the `join` that its owner
    // calls once.
    private var handle = pthread_t()

    private final class Body {
        let name: String
        let run: @Sendable () -> Void

        init(name: String, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    /// `name`: at most 15 bytes, as the kernel keeps it.
    init(name: String, _ run: @escaping @Sendable () -> Void) {
        // SAFETY: the thread takes this retain over, exactly once.
        let body = Unmanaged.passRetained(Body(name: name, run))
        let code = pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { return nil }
                // SAFETY: the retain of `passRetained` above is taken over here, exactly once.
                let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
                ks_name_this_thread(body.name)
                body.run()
                return nil
            }, body.toOpaque())
        precondition(code == 0, "a thread can be made (errno \(code))")
    }

    func join() { pthread_join(handle, nil) }
}
