// Counts from outside what a process asks of the C library: preloaded with LD_PRELOAD, it stands before glibc and keeps
// its counts in a file that another process reads while this one runs.
//
// The file, named by KEYSTEAD_COUNTER_FILE, holds words of 8 bytes in the machine's order, added to atomically:
//
//     0  allocations: malloc, calloc, realloc that moved or made, aligned allocations
//     1  bytes asked for by them
//     2  frees
//     3  bytes copied by memcpy and memmove (what the compiler copies in place is not seen)
//     4  calls of fdatasync
//     5  wake-ups of an event loop from another thread (eventfd_write)

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

enum { ALLOCATIONS, ALLOCATED_BYTES, FREES, COPIED_BYTES, SYNCS, LOOP_WAKEUPS, WORDS };

// Until the file is mapped, and without one, the counts go here.
static _Atomic uint64_t early[WORDS];
static _Atomic uint64_t *counts = early;

typedef void *(*copy_function)(void *, const void *, size_t);
static copy_function real_memcpy;
static copy_function real_memmove;

static inline void add(int word, uint64_t value) {
    atomic_fetch_add_explicit(&counts[word], value, memory_order_relaxed);
}

__attribute__((constructor)) static void open_counts(void) {
    real_memcpy = (copy_function)dlsym(RTLD_NEXT, "memcpy");
    real_memmove = (copy_function)dlsym(RTLD_NEXT, "memmove");
    const char *path = getenv("KEYSTEAD_COUNTER_FILE");
    if (path == NULL) return;
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return;
    if (ftruncate(file, sizeof early) == 0) {
        void *mapped = mmap(NULL, sizeof early, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (mapped != MAP_FAILED) counts = mapped;
    }
    close(file);
}

static inline void *counted(void *block, size_t bytes) {
    if (block != NULL) {
        add(ALLOCATIONS, 1);
        add(ALLOCATED_BYTES, bytes);
    }
    return block;
}

void *malloc(size_t bytes) { return counted(__libc_malloc(bytes), bytes); }

void *calloc(size_t count, size_t bytes) { return counted(__libc_calloc(count, bytes), count * bytes); }

void *realloc(void *old, size_t bytes) {
    void *block = __libc_realloc(old, bytes);
    return block == old ? block : counted(block, bytes);
}

void *memalign(size_t alignment, size_t bytes) { return counted(__libc_memalign(alignment, bytes), bytes); }

void *aligned_alloc(size_t alignment, size_t bytes) { return memalign(alignment, bytes); }

int posix_memalign(void **block, size_t alignment, size_t bytes) {
    if (alignment % sizeof(void *) != 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
    void *made = memalign(alignment, bytes);
    if (made == NULL) return ENOMEM;
    *block = made;
    return 0;
}

void free(void *block) {
    if (block != NULL) add(FREES, 1);
    __libc_free(block);
}

// Before the real ones are known the dynamic linker itself is still at work, with little to copy. The barrier keeps the
// compiler from making a call of memcpy out of the loop.
static void *copy_slowly(void *to, const void *from, size_t bytes) {
    char *target = to;
    const char *source = from;
    int backwards = target > source;
    for (size_t done = 0; done < bytes; done++) {
        size_t at = backwards ? bytes - 1 - done : done;
        target[at] = source[at];
        __asm__ volatile("" ::: "memory");
    }
    return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    add(COPIED_BYTES, bytes);
    return real_memcpy ? real_memcpy(to, from, bytes) : copy_slowly(to, from, bytes);
}

void *memmove(void *to, const void *from, size_t bytes) {
    add(COPIED_BYTES, bytes);
    return real_memmove ? real_memmove(to, from, bytes) : copy_slowly(to, from, bytes);
}

int fdatasync(int file) {
    add(SYNCS, 1);
    return (int)syscall(SYS_fdatasync, file);
}

int eventfd_write(int file, eventfd_t value) {
    add(LOOP_WAKEUPS, 1);
    return write(file, &value, sizeof value) == sizeof value ? 0 : -1;
}
