/* Privileges and seccomp filter of a decoder child.
 *
 * Default: kill the process. Allowed is what malloc, threads, clocks and reading and writing open
 * descriptors need. A third group answers with an errno: codecs, glibc and encoders try these calls
 * and go on without them (media-pitfalls: x265, SVT, OpenCV), so killing would break honest files.
 * No call that makes a new descriptor is in any group but the third. */
#define _GNU_SOURCE
#include "wk_sandbox.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <seccomp.h>

static const int allowed[] = {
    /* open descriptors */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(close), SCMP_SYS(lseek),
    /* memory (mmap and mprotect follow with a condition) */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    /* threads */
    SCMP_SYS(futex), SCMP_SYS(futex_waitv), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(membarrier),
    SCMP_SYS(set_tid_address), SCMP_SYS(gettid), SCMP_SYS(exit), SCMP_SYS(exit_group),
    SCMP_SYS(restart_syscall),
    /* signals of our own */
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
    /* time, chance, identity */
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(times), SCMP_SYS(getrusage),
    SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname), SCMP_SYS(sysinfo)};

static const struct {
    int call;
    int error;
} refused[] = {{SCMP_SYS(open), EACCES},
               {SCMP_SYS(openat), EACCES},
               {SCMP_SYS(openat2), EACCES},
               {SCMP_SYS(creat), EACCES},
               {SCMP_SYS(access), EACCES},
               {SCMP_SYS(faccessat), EACCES},
               {SCMP_SYS(faccessat2), EACCES},
               {SCMP_SYS(stat), EACCES},
               {SCMP_SYS(lstat), EACCES},
               {SCMP_SYS(fstat), EACCES},
               {SCMP_SYS(newfstatat), EACCES},
               {SCMP_SYS(statx), EACCES},
               {SCMP_SYS(statfs), EACCES},
               {SCMP_SYS(readlink), EACCES},
               {SCMP_SYS(readlinkat), EACCES},
               {SCMP_SYS(getcwd), EACCES},
               {SCMP_SYS(ioctl), ENOTTY},
               {SCMP_SYS(fcntl), EPERM},
               {SCMP_SYS(dup), EPERM},
               {SCMP_SYS(pipe), EPERM},
               {SCMP_SYS(pipe2), EPERM},
               {SCMP_SYS(eventfd2), EPERM},
               {SCMP_SYS(memfd_create), EPERM},
               /* threads fall back to clone, where the flags can be looked at */
               {SCMP_SYS(clone3), ENOSYS},
               {SCMP_SYS(sched_setaffinity), EPERM},
               {SCMP_SYS(sched_setscheduler), EPERM},
               {SCMP_SYS(sched_getscheduler), EPERM},
               {SCMP_SYS(sched_setparam), EPERM},
               {SCMP_SYS(sched_getparam), EPERM},
               {SCMP_SYS(sched_setattr), EPERM},
               {SCMP_SYS(sched_getattr), EPERM},
               {SCMP_SYS(sched_get_priority_max), EPERM},
               {SCMP_SYS(sched_get_priority_min), EPERM},
               {SCMP_SYS(setpriority), EPERM},
               {SCMP_SYS(getpriority), EPERM},
               {SCMP_SYS(set_mempolicy), EPERM},
               {SCMP_SYS(get_mempolicy), EPERM},
               {SCMP_SYS(mbind), EPERM},
               {SCMP_SYS(mlock), EPERM},
               {SCMP_SYS(mlock2), EPERM},
               {SCMP_SYS(munlock), EPERM},
               {SCMP_SYS(mlockall), EPERM},
               {SCMP_SYS(setrlimit), EPERM}};

int wk_sandbox_drop(int64_t uid)
{
    gid_t gid = (gid_t)uid;
    uid_t id = (uid_t)uid;

    if (uid < 0) {
        return 0; /* the worker is no root: nothing to give up */
    }
    if (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(id, id, id) != 0) {
        return -1;
    }
    if (id != 0 && setuid(0) == 0) {
        errno = EPERM; /* the way back must be closed */
        return -1;
    }
    return 0;
}

/* Calls that are fine with some arguments only. 0 or a negative errno. */
static int add_conditional(scmp_filter_ctx f)
{
    const scmp_datum_t exec = PROT_EXEC;
    int rc = 0;

    /* no memory becomes code after lock-down */
    rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, exec, 0));
    rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, exec, 0));
    rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(mmap), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, exec, exec));
    rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(mprotect), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, exec, exec));
    rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    /* abort() */
    rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
                           SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
    /* reading a limit, not setting one */
    rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0),
                           SCMP_A2(SCMP_CMP_EQ, 0));
    rc |=
        seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
    rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1,
                           SCMP_A0(SCMP_CMP_NE, PR_SET_NAME));
    return rc;
}

static int load_filter(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc;

    if (f == NULL) {
        return -1;
    }
    rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1); /* threads made while warming up too */
    rc |= seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        rc |= seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        rc |= seccomp_rule_add(f, SCMP_ACT_ERRNO((uint32_t)refused[i].error), refused[i].call, 0);
    }
    rc |= add_conditional(f);
    if (rc == 0) {
        rc = seccomp_load(f);
    }
    seccomp_release(f);
    return rc == 0 ? 0 : -1;
}

int wk_sandbox_lock(void)
{
    /* after the change of uid, which clears the first two */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    return load_filter();
}
