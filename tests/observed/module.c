/* A shared library with thread-locals: a small initialised one, and a large one with most of it zero. Each function counts
   up the caller's own. Built and opened by tests/observers.sh. */

static _Thread_local int small = 40;
static _Thread_local int large[50000] = {40};

int module_next_small(void);
int module_next_large(void);

int module_next_small(void) { return ++small; }

int module_next_large(void)
{
    /* The far end, too. */
    large[49999]++;
    large[0]++;
    return large[49999] == large[0] - 40 ? large[0] : -1;
}
