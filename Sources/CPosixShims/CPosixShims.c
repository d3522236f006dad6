#define _GNU_SOURCE
#include "CPosixShims.h"

#include <poll.h>

int ks_fallocate(int fd, int64_t offset, int64_t length) {
    return fallocate(fd, 0, offset, length) < 0 ? -errno : 0;
}

/// The C library's own, bounded as `ks_wall_ms` is, for every library of the process: RocksDB ends the process where the
/// time is before 1970.
time_t time(time_t *result) {
    time_t now = (time_t)(ks_wall_ms() / 1000);
    if (result) *result = now;
    return now;
}

int ks_fill_standard_descriptors(void) {
    int filled = 0;
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest free number is this one, since those below are open.
        if (open("/dev/null", O_RDWR) == fd) filled++;
    }
    return filled;
}

void ks_refuse_cores(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) < 0) return;
    limit.rlim_cur = limit.rlim_max < 1 ? limit.rlim_max : 1;
    setrlimit(RLIMIT_CORE, &limit);
}

/// As the kernel laid them out: what /proc shows. The C library hands them to constructors.
static int argument_count = 0;
static char **arguments = NULL;

__attribute__((constructor)) static void ks_note_arguments(int count, char **values) {
    argument_count = count;
    arguments = values;
}

static int hide(char *text) {
    size_t length = strlen(text);
    memset(text, 'x', length);
    return length > 0;
}

int ks_hide_argument(const char *flag) {
    size_t length = strlen(flag);
    int hidden = 0;
    for (int i = 1; i < argument_count && arguments[i]; i++) {
        if (strncmp(arguments[i], flag, length) != 0) continue;
        if (arguments[i][length] == '=') {
            hidden += hide(arguments[i] + length + 1);
        } else if (arguments[i][length] == 0 && i + 1 < argument_count) {
            hidden += hide(arguments[++i]);
        }
    }
    return hidden;
}

void ks_last_words(const void *bytes, size_t length) {
    const char *at = (const char *)bytes;
    while (length > 0) {
        struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
        if (poll(&ready, 1, 1000) <= 0 || !(ready.revents & POLLOUT)) return;
        // A pipe that is ready takes this much at once.
        ssize_t written = write(STDERR_FILENO, at, length < 4096 ? length : 4096);
        if (written <= 0) return;
        at += written;
        length -= (size_t)written;
    }
}
