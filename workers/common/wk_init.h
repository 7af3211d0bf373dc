/* What a worker owes to others when it is the first process of a container. */
#ifndef WK_INIT_H
#define WK_INIT_H

/* Returns in the worker. As process 1 that is a child: process 1 itself stays in here, hands
 * signals on, reaps what is left to it, and exits as the worker does. Before any thread and any
 * blocked signal. */
void wk_init(void);

#endif
