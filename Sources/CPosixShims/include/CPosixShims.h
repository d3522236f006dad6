// The few calls that Swift cannot make well by itself: CRC32C with the CPU's instruction, and file calls whose
// result must be read as a negative errno in one step (a retain or release between a call and `errno` may clobber it).
//
// Nearly everything is `static inline`, so the optimiser sees through the call.

#ifndef CPOSIXSHIMS_H
#define CPOSIXSHIMS_H

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>


/// CRC32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continuing from `crc` (0 to start).
static inline uint32_t ks_crc32c_portable(uint32_t crc, const uint8_t *bytes, size_t length) {
    crc = ~crc;
    for (size_t i = 0; i < length; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1u)));
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static inline uint32_t ks_crc32c_hardware(
    uint32_t crc, const uint8_t *bytes, size_t length) {
    uint64_t state = ~crc;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        state = __builtin_ia32_crc32di(state, word);
        bytes += 8;
        length -= 8;
    }
    uint32_t narrow = (uint32_t)state;
    while (length--) narrow = __builtin_ia32_crc32qi(narrow, *bytes++);
    return ~narrow;
}
static inline int ks_crc32c_has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
static inline uint32_t ks_crc32c_hardware(uint32_t crc, const uint8_t *bytes, size_t length) {
    crc = ~crc;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        crc = __builtin_arm_crc32cd(crc, word);
        bytes += 8;
        length -= 8;
    }
    while (length--) crc = __builtin_arm_crc32cb(crc, *bytes++);
    return ~crc;
}
static inline int ks_crc32c_has_hardware(void) { return 1; }
#else
static inline uint32_t ks_crc32c_hardware(uint32_t crc, const uint8_t *bytes, size_t length) {
    return ks_crc32c_portable(crc, bytes, length);
}
static inline int ks_crc32c_has_hardware(void) { return 0; }
#endif

static inline uint32_t ks_crc32c(uint32_t crc, const void *bytes, size_t length) {
    return ks_crc32c_has_hardware() ? ks_crc32c_hardware(crc, (const uint8_t *)bytes, length)
                                    : ks_crc32c_portable(crc, (const uint8_t *)bytes, length);
}

/// How many bytes at the start of `bytes` are zero.
static inline size_t ks_zero_prefix(const void *bytes, size_t length) {
    const uint8_t *start = (const uint8_t *)bytes, *end = start + length, *at = start;
    uint64_t word = 0;
    while (end - at >= 8 && (memcpy(&word, at, 8), word == 0)) at += 8;
    while (at < end && *at == 0) at++;
    return (size_t)(at - start);
}

/// Nanoseconds of `clock`, one that never goes below zero. CLOCK_BOOTTIME keeps counting through a suspend.
static inline uint64_t ks_clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}
static inline uint64_t ks_boottime_ns(void) { return ks_clock_ns(CLOCK_BOOTTIME); }

/// The last second of the year 9999: later times have no form in RFC 3339 or HTTP.
#define KS_LAST_SECOND 253402300799ll

/// Milliseconds of the wall clock since 1970. It can step, and may say anything: a time before 1970 counts as 1970, one
/// after the year 9999 as its end.
static inline uint64_t ks_wall_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec < 0) return 0;
    if (now.tv_sec > KS_LAST_SECOND) return (uint64_t)KS_LAST_SECOND * 1000ull;
    return (uint64_t)now.tv_sec * 1000ull + (uint64_t)now.tv_nsec / 1000000ull;
}

// The allocator.
/// Bounds what the C library keeps of freed memory. Before threads are made.
static inline void ks_allocator_configure(int arenas, size_t mapped_min, int mapped_max, size_t kept_max) {
#if defined(__GLIBC__)
    mallopt(M_ARENA_MAX, arenas);
    mallopt(M_MMAP_THRESHOLD, (int)mapped_min);
    mallopt(M_MMAP_MAX, mapped_max);
    mallopt(M_TRIM_THRESHOLD, (int)kept_max);
#endif
}
/// Gives every free page back to the system. Takes the lock of each arena in turn.
static inline void ks_allocator_trim(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

// File calls. Each returns its result, or the negative errno.
static inline int ks_open(const char *path, int flags, mode_t mode) {
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    return fd < 0 ? -errno : fd;
}
/// The same below an open directory.
static inline int ks_openat(int directory, const char *name, int flags, mode_t mode) {
    int fd = openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    return fd < 0 ? -errno : fd;
}
/// Opens a file that an operator named, to read it: only here a symbolic link is followed. A pipe without a
/// writer does not hold the caller.
static inline int ks_open_named_file(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return fd < 0 ? -errno : fd;
}
/// Removes a name below an open directory: an empty directory where `flags` is AT_REMOVEDIR, else a file or a link
/// itself.
static inline int ks_unlinkat(int directory, const char *name, int flags) {
    return unlinkat(directory, name, flags) < 0 ? -errno : 0;
}
/// What a name below an open directory is; a link itself, not what it leads to.
static inline int ks_statat(int directory, const char *name, struct stat *status) {
    return fstatat(directory, name, status, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}
static inline int ks_chmodat(int directory, const char *name, mode_t mode) {
    return fchmodat(directory, name, mode, 0) < 0 ? -errno : 0;
}
static inline int ks_fstat(int fd, struct stat *status) { return fstat(fd, status) < 0 ? -errno : 0; }
static inline int ks_fchmod(int fd, mode_t mode) { return fchmod(fd, mode) < 0 ? -errno : 0; }
static inline int ks_is_directory(mode_t mode) { return S_ISDIR(mode); }
static inline int ks_is_file(mode_t mode) { return S_ISREG(mode); }
static inline int ks_is_link(mode_t mode) { return S_ISLNK(mode); }
static inline int ks_close(int fd) { return close(fd) < 0 ? -errno : 0; }
static inline int ks_fdatasync(int fd) { return fdatasync(fd) < 0 ? -errno : 0; }
static inline int ks_fsync(int fd) { return fsync(fd) < 0 ? -errno : 0; }

/// Tells the kernel to begin to write these bytes to the disk, and waits for nothing. A hint: a later fsync makes them
/// durable, and has less left to do.
#if defined(__linux__)
int sync_file_range(int fd, off_t offset, off_t length, unsigned int flags);
static inline void ks_start_writeback(int fd, int64_t offset, int64_t length) {
    (void)sync_file_range(fd, offset, length, 2 /* SYNC_FILE_RANGE_WRITE */);
}
#else
static inline void ks_start_writeback(int fd, int64_t offset, int64_t length) {}
#endif

static inline int64_t ks_pwrite(int fd, const void *bytes, size_t length, int64_t offset) {
    ssize_t n = pwrite(fd, bytes, length, offset);
    return n < 0 ? -(int64_t)errno : (int64_t)n;
}
static inline int64_t ks_pread(int fd, void *bytes, size_t length, int64_t offset) {
    ssize_t n = pread(fd, bytes, length, offset);
    return n < 0 ? -(int64_t)errno : (int64_t)n;
}
static inline int ks_rename(const char *from, const char *to) { return rename(from, to) < 0 ? -errno : 0; }
static inline int ks_unlink(const char *path) { return unlink(path) < 0 ? -errno : 0; }
static inline int ks_mkdir(const char *path, mode_t mode) { return mkdir(path, mode) < 0 ? -errno : 0; }
/// Out of line, since `fallocate` wants `_GNU_SOURCE`, under which the system's headers differ from those that Swift's
/// own module of the C library was made of.
int ks_fallocate(int fd, int64_t offset, int64_t length);
/// Raises the soft limit of open files to the hard one, where that is allowed. The limit as it then is.
static inline int64_t ks_raise_descriptor_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -errno;
    struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
    return limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}
static inline int ks_truncate(int fd, int64_t length) { return ftruncate(fd, length) < 0 ? -errno : 0; }
static inline int ks_flock_exclusive(int fd) { return flock(fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0; }
static inline int64_t ks_file_size(int fd) {
    struct stat status;
    return fstat(fd, &status) < 0 ? -(int64_t)errno : (int64_t)status.st_size;
}
/// 64 bits from the kernel's generator. It does not fail once the system has booted.
static inline uint64_t ks_random64(void) {
    uint64_t value = 0;
    while (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) continue;
    return value;
}
/// Names the calling thread for ps, top and gdb; at most 15 bytes count.
static inline void ks_name_this_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
/// How far the calling thread yields to others; on Linux a priority belongs to a thread.
static inline void ks_set_niceness(int niceness) { setpriority(PRIO_PROCESS, 0, niceness); }
/// How long the calling thread runs on once it has begun, where others want the processor: from Linux 6.12 on one with
/// a shorter slice goes before those with longer ones when it wakes. Older kernels keep to their own slice.
static inline void ks_set_slice(uint64_t nanoseconds) {
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = 48, .nice = getpriority(PRIO_PROCESS, 0), .runtime = nanoseconds};
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}
/// Files and directories are made for this user alone from here on, whatever the caller of the process had set.
static inline void ks_make_private_files(void) { umask(077); }
/// No signal of a closed pipe or terminal ends the process.
static inline void ks_ignore_signal(int number) { signal(number, SIG_IGN); }
/// Opens /dev/null for each of the three standard descriptors that is closed: a data file must never get its number.
/// Returns how many were.
int ks_fill_standard_descriptors(void);
/// A crash writes no core, neither to a file nor to a program. The value 1 does both: at 0 a program still gets one.
/// The hard limit stays, so whoever needs a core can raise the soft one of the running process.
void ks_refuse_cores(void);
/// Overwrites the value of a flag (`--name VALUE` or `--name=VALUE`) in the command line that others can read in /proc.
/// The caller has copied its arguments. Call it before any thread starts. Returns how many values were there.
int ks_hide_argument(const char *flag);
/// Writes to standard error, and gives up after a second in which nothing could be written: for a process that ends.
void ks_last_words(const void *bytes, size_t length);

/// Drops the page cache of the file, so that what is read next comes from the device (rule W5).
static inline int ks_drop_cache(int fd) { return -posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); }

#endif
