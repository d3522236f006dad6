// Counts the allocations of a process from outside: preloaded with LD_PRELOAD, it stands before glibc's allocator and
// keeps its counts in a file that another process maps or reads while this one runs.
//
//     offset 0   8 bytes  allocations: malloc, calloc, realloc that moved or made, aligned allocations
//     offset 8   8 bytes  bytes asked for by them
//     offset 16  8 bytes  frees
//
// All little-endian words of the machine, added to atomically. The file is named by ALLOCATION_COUNTER_FILE.

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

struct counts {
    _Atomic uint64_t allocations;
    _Atomic uint64_t bytes;
    _Atomic uint64_t frees;
};

// Until the file is mapped, and without one, the counts go here.
static struct counts early;
static struct counts *counts = &early;

__attribute__((constructor)) static void open_counts(void) {
    const char *path = getenv("ALLOCATION_COUNTER_FILE");
    if (path == NULL) return;
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0) return;
    if (ftruncate(file, sizeof(struct counts)) == 0) {
        void *mapped = mmap(NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (mapped != MAP_FAILED) counts = mapped;
    }
    close(file);
}

static inline void *counted(void *block, size_t bytes) {
    if (block != NULL) {
        atomic_fetch_add_explicit(&counts->allocations, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counts->bytes, bytes, memory_order_relaxed);
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
    if (block != NULL) atomic_fetch_add_explicit(&counts->frees, 1, memory_order_relaxed);
    __libc_free(block);
}
