/* Preloaded into a program, this makes one sync fail when it is told to: the next one of a file whose
   path matches the pattern in the file that FAILING_SYNC names. That file is removed then, so that
   whoever syncs again succeeds, as on Linux, where what was not written is forgotten. */
#define _GNU_SOURCE
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_struck(int fd) {
    char pattern[256] = "", link[64], path[4096];
    const char *order = getenv("FAILING_SYNC");
    FILE *file = order ? fopen(order, "r") : NULL;
    ssize_t length;

    if (!file) return 0;
    if (!fgets(pattern, sizeof pattern, file)) pattern[0] = 0;
    fclose(file);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fnmatch(pattern, path, 0) == 0 && unlink(order) == 0;
}

static int synced(long call, int fd) {
    if (is_struck(fd)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

int fsync(int fd) { return synced(SYS_fsync, fd); }
int fdatasync(int fd) { return synced(SYS_fdatasync, fd); }
