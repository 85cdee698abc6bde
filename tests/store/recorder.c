/* Loaded into a test's child (LD_PRELOAD): writes down every change and every sync of the files under RECORDER_ROOT, in
 * the order in which they happen, to RECORDER_TRACE; and fails or holds up writes and syncs while RECORDER_FAULT names a
 * file that exists: its content is "full" (writes: ENOSPC), "sync" (syncs: EIO), "stall" (writes wait) or "hold" (syncs
 * wait; the first that does makes it "held").
 *
 * A record: op, length of path, of second path, offset, length of data (little endian: u8 u32 u32 u64 u64), then those. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 4096

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static char *names[FDS];
static const char *root, *fault;
static size_t root_length;
static int trace = -1;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("RECORDER_TRACE");
    root = getenv("RECORDER_ROOT");
    fault = getenv("RECORDER_FAULT");
    if (!root) return;
    root_length = strlen(root);
    if (path) trace = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (path && trace < 0) _exit(97);
}

/* The path below the root; NULL if it is not there. */
static const char *below(const char *path) {
    if (!root || !path || strncmp(path, root, root_length) != 0) return NULL;
    if (path[root_length] != '/' && path[root_length] != 0) return NULL;
    return path[root_length] ? path + root_length + 1 : path + root_length;
}

static const char *name_of(int fd) { return fd >= 0 && fd < FDS ? names[fd] : NULL; }

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length) {
        long done = syscall(SYS_write, trace, at, length);
        if (done <= 0) _exit(98);
        at += done;
        length -= (size_t)done;
    }
}

static void note(char op, const char *path, const char *second, uint64_t offset, const void *data, uint64_t length) {
    if (trace < 0) return;
    unsigned char head[25];
    uint32_t first_length = (uint32_t)strlen(path), second_length = second ? (uint32_t)strlen(second) : 0;
    head[0] = (unsigned char)op;
    memcpy(head + 1, &first_length, 4);
    memcpy(head + 5, &second_length, 4);
    memcpy(head + 9, &offset, 8);
    memcpy(head + 17, &length, 8);
    put(head, sizeof head);
    put(path, first_length);
    if (second) put(second, second_length);
    if (length) put(data, length);
}

static int fault_is(const char *kind) {
    char content[16] = {0};
    if (!fault) return 0;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, fault, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return 0;
    long got = syscall(SYS_read, fd, content, sizeof content - 1);
    syscall(SYS_close, fd);
    return got > 0 && strncmp(content, kind, strlen(kind)) == 0;
}

/* Says that a sync is being held up. */
static void say_held(void) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, fault, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0 || syscall(SYS_write, fd, "held", 4) != 4) _exit(99);
    syscall(SYS_close, fd);
}

static int opened(int fd, const char *path, int flags, int existed) {
    const char *name = below(path);
    if (fd < 0 || fd >= FDS || !name) return fd;
    free(names[fd]);
    names[fd] = strdup(name);
    if ((flags & O_CREAT) && !existed) note('c', name, NULL, 0, NULL, 0);
    else if (flags & O_TRUNC) note('t', name, NULL, 0, NULL, 0);
    return fd;
}

static int open_any(int directory, const char *path, int flags, mode_t mode) {
    char whole[8192];
    if (directory != AT_FDCWD && path[0] != '/') {
        const char *base = name_of(directory);
        if (base) {
            snprintf(whole, sizeof whole, "%s/%s%s%s", root, base, *base ? "/" : "", path);
            path = whole;
            directory = AT_FDCWD;
        }
    }
    pthread_mutex_lock(&order);
    int existed = below(path) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) == 0;
    int fd = (int)syscall(SYS_openat, directory, path, flags, mode);
    int saved = errno;
    if (fd < 0) errno = saved;
    else opened(fd, path, flags, existed);
    pthread_mutex_unlock(&order);
    return fd;
}

#define MODE(flags)                                     \
    mode_t mode = 0;                                    \
    if ((flags) & (O_CREAT | O_TMPFILE)) {              \
        va_list rest;                                   \
        va_start(rest, flags);                          \
        mode = va_arg(rest, mode_t);                    \
        va_end(rest);                                   \
    }

int open(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_any(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return open_any(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags) return open_any(at, path, flags | O_LARGEFILE, mode); }

int close(int fd) {
    pthread_mutex_lock(&order);
    if (fd >= 0 && fd < FDS) {
        free(names[fd]);
        names[fd] = NULL;
    }
    int result = (int)syscall(SYS_close, fd);
    pthread_mutex_unlock(&order);
    return result;
}

static ssize_t write_any(int fd, const void *bytes, size_t length, off64_t at) {
    if (!name_of(fd)) return at < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, at);
    while (fault_is("stall")) usleep(10000);
    if (fault_is("full")) {
        errno = ENOSPC;
        return -1;
    }
    pthread_mutex_lock(&order);
    ssize_t done = at < 0 ? syscall(SYS_write, fd, bytes, length) : syscall(SYS_pwrite64, fd, bytes, length, at);
    int saved = errno;
    if (done > 0) {
        uint64_t offset = at < 0 ? (uint64_t)syscall(SYS_lseek, fd, 0, SEEK_CUR) - (uint64_t)done : (uint64_t)at;
        note('w', name_of(fd), NULL, offset, bytes, (uint64_t)done);
    }
    pthread_mutex_unlock(&order);
    errno = saved;
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return write_any(fd, bytes, length, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return write_any(fd, bytes, length, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return write_any(fd, bytes, length, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!name_of(fd)) return syscall(SYS_writev, fd, parts, count);
    for (int part = 0; part < count; part++)
        if (parts[part].iov_len) return write_any(fd, parts[part].iov_base, parts[part].iov_len, -1);
    return 0;
}

static int truncate_any(int fd, off64_t length) {
    pthread_mutex_lock(&order);
    int result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0 && name_of(fd)) note('t', name_of(fd), NULL, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&order);
    return result;
}

int ftruncate(int fd, off_t length) { return truncate_any(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncate_any(fd, length); }

static int sync_any(int fd, long call) {
    if (!name_of(fd)) return (int)syscall(call, fd);
    if (fault_is("sync")) {
        errno = EIO;
        return -1;
    }
    if (fault_is("hold")) say_held();
    while (fault_is("held")) usleep(1000);
    /* Under the lock: what is written while the sync runs is not covered by it. */
    pthread_mutex_lock(&order);
    struct stat about;
    int is_directory = fstat(fd, &about) == 0 && S_ISDIR(about.st_mode);
    int result = (int)syscall(call, fd);
    if (result == 0) note(is_directory ? 'd' : 's', name_of(fd), NULL, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    return result;
}

int fsync(int fd) { return sync_any(fd, SYS_fsync); }
int fdatasync(int fd) { return sync_any(fd, SYS_fdatasync); }

/* Promises nothing about the disk, so it is not written down. */
int sync_file_range(int fd, off64_t offset, off64_t length, unsigned int flags) {
    return (int)syscall(SYS_sync_file_range, fd, offset, length, flags);
}

static int name_change(char op, long call, int at, const char *path, const char *second, long last) {
    char whole[8192];
    if (at != AT_FDCWD && path[0] != '/' && name_of(at)) {
        snprintf(whole, sizeof whole, "%s/%s%s%s", root, name_of(at), *name_of(at) ? "/" : "", path);
        path = whole;
        at = AT_FDCWD;
    }
    pthread_mutex_lock(&order);
    long result = second ? syscall(call, at, path, AT_FDCWD, second, last) : syscall(call, at, path, last);
    int saved = errno;
    if (result == 0 && below(path)) note(op, below(path), second ? below(second) : NULL, 0, NULL, 0);
    pthread_mutex_unlock(&order);
    errno = saved;
    return (int)result;
}

int mkdir(const char *path, mode_t mode) { return name_change('m', SYS_mkdirat, AT_FDCWD, path, NULL, mode); }
int unlink(const char *path) { return name_change('u', SYS_unlinkat, AT_FDCWD, path, NULL, 0); }
int rmdir(const char *path) { return name_change('u', SYS_unlinkat, AT_FDCWD, path, NULL, AT_REMOVEDIR); }
int unlinkat(int at, const char *path, int flags) { return name_change('u', SYS_unlinkat, at, path, NULL, flags); }
int rename(const char *from, const char *to) { return name_change('r', SYS_renameat2, AT_FDCWD, from, to, 0); }
int link(const char *from, const char *to) { return name_change('l', SYS_linkat, AT_FDCWD, from, to, 0); }
int linkat(int from_at, const char *from, int to_at, const char *to, int flags) {
    if (from_at != AT_FDCWD || to_at != AT_FDCWD) return (int)syscall(SYS_linkat, from_at, from, to_at, to, flags);
    return name_change('l', SYS_linkat, AT_FDCWD, from, to, flags);
}
