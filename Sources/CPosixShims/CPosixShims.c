#define _GNU_SOURCE
#include "CPosixShims.h"

int ks_fallocate(int fd, int64_t offset, int64_t length) {
    return fallocate(fd, 0, offset, length) < 0 ? -errno : 0;
}
