/* Tells that something may have changed below some directories. Only a hint: who gets it reads the
 * files and compares, and does so from time to time anyway (a file mounted alone has no directory
 * that tells). [thread] */
#ifndef GW_WATCH_H
#define GW_WATCH_H

/* inotify's descriptor to poll, or -1. */
int gw_watch_open(void);
/* Watches a directory, again where it was replaced; of a file (what ends in no directory) the one
 * it lies in. A new file, a removed or written one, and Kubernetes' exchange of the link ..data are
 * all names that appear in it. */
void gw_watch_add(int fd, const char *path);
/* Forgets the events that came. */
void gw_watch_drain(int fd);

#endif
