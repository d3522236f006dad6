internal import Glibc

/// A value under a lock with one condition: what `Synchronization.Mutex` lacks.
///
/// SAFETY (`@unchecked Sendable`): `value` is touched only between `lock` and `unlock` of `mutex`.
final class Monitor<Value>: @unchecked Sendable {
    private(set) var value: Value
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init(_ value: Value) {
        self.value = value
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// What may be done while the lock is held.
    struct Held {
        fileprivate let monitor: Monitor

        var value: Value {
            get { monitor.value }
            nonmutating _modify { yield &monitor.value }
        }

        /// Wakes every waiter, who look again once the lock is free.
        func signal() { pthread_cond_broadcast(monitor.condition) }

        /// Lets the lock go until the condition holds.
        func wait(until holds: (Value) -> Bool) {
            while !holds(monitor.value) { pthread_cond_wait(monitor.condition, monitor.mutex) }
        }

        /// Lets the lock go until someone signals, or for this long.
        func wait(nanoseconds: Int) {
            var deadline = timespec()
            clock_gettime(CLOCK_MONOTONIC, &deadline)
            let total = deadline.tv_nsec + nanoseconds
            deadline.tv_sec += total / 1_000_000_000
            deadline.tv_nsec = total % 1_000_000_000
            pthread_cond_timedwait(monitor.condition, monitor.mutex, &deadline)
        }
    }

    func withLock<R>(_ body: (Held) -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(Held(monitor: self))
    }
}
