/* How many CPUs we may use: what nginx's "auto" does not know in a container. [thread] */
#ifndef GW_CPU_H
#define GW_CPU_H

/* The quota of the cgroup (v1 and v2) rounded up, at least 1, at most `cpus`; without a quota
 * `cpus`. `root` is "" save in tests: /proc/self/cgroup and /sys/fs/cgroup are looked up below it.
 */
int gw_cpu_count(const char *root, int cpus);
/* The CPUs we may be scheduled on. */
int gw_cpu_available(void);

#endif
