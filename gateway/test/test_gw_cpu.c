/* gw_cpu: cgroup trees as v1 and v2 have them. */
#define _GNU_SOURCE
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gw_cpu.h"
#include "test.h"

static char root[] = "/tmp/test_gw_cpu_XXXXXX";

/* Writes a file below root, its directories included. */
static void put(const char *path, const char *text)
{
    char full[PATH_MAX];
    FILE *f;

    (void)snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        (void)mkdir(full, 0700);
        *p = '/';
    }
    f = fopen(full, "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0) {
        exit(1);
    }
}

static int drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void test_cpu_v2_rounds_up(void)
{
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    CHECK_INT(gw_cpu_count(root, 8), 2);
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    CHECK_INT(gw_cpu_count(root, 8), 2);
    put("/sys/fs/cgroup/cpu.max", "5000 100000\n");
    CHECK_INT(gw_cpu_count(root, 8), 1);
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    CHECK_INT(gw_cpu_count(root, 8), 8);
    put("/sys/fs/cgroup/cpu.max", "9900000 100000\n");
    CHECK_INT(gw_cpu_count(root, 8), 8);
}

static void test_cpu_v2_parent_counts(void)
{
    put("/proc/self/cgroup", "0::/kubepods/pod1/c1\n");
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/kubepods/pod1/cpu.max", "300000 100000\n");
    put("/sys/fs/cgroup/kubepods/pod1/c1/cpu.max", "max 100000\n");
    CHECK_INT(gw_cpu_count(root, 8), 3);
    put("/sys/fs/cgroup/kubepods/pod1/c1/cpu.max", "100000 100000\n");
    CHECK_INT(gw_cpu_count(root, 8), 1);
}

static void test_cpu_v1_own_and_mounted(void)
{
    put("/proc/self/cgroup", "12:memory:/m\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n0::/y\n");
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us", "250000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us", "100000\n");
    CHECK_INT(gw_cpu_count(root, 8), 3);
    /* docker: the container's own cgroup is mounted at the root */
    put("/proc/self/cgroup", "4:cpu,cpuacct:/docker/not/here\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    CHECK_INT(gw_cpu_count(root, 8), 8);
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
    CHECK_INT(gw_cpu_count(root, 8), 4);
}

static void test_cpu_nonsense_is_no_quota(void)
{
    put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("/proc/self/cgroup", "nonsense\n:::\n0:\n7:cpuset:/kubepods/pod1/c1\n");
    CHECK_INT(gw_cpu_count(root, 8), 8);
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "x y\n");
    CHECK_INT(gw_cpu_count(root, 8), 8);
    put("/sys/fs/cgroup/cpu.max", "100000 0\n");
    CHECK_INT(gw_cpu_count(root, 8), 8);
    CHECK_INT(gw_cpu_count("/nowhere", 5), 5);
    CHECK_INT(gw_cpu_count("/nowhere", 0), 1);
}

int main(void)
{
    CHECK(mkdtemp(root) != NULL);
    test_cpu_v2_rounds_up();
    test_cpu_v2_parent_counts();
    test_cpu_v1_own_and_mounted();
    test_cpu_nonsense_is_no_quota();
    CHECK(gw_cpu_available() >= 1);
    CHECK_INT(nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS), 0);
    return test_report();
}
