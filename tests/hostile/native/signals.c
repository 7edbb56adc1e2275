/* Signals: a handler that uses errno and thread-locals, and a library that installs a signal stack with the
   lifetime of a thread-local. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAGIC 0x51606a15

static __thread volatile long magic = MAGIC;
static __thread volatile sig_atomic_t hits;
static atomic_long handled, strange;

/* As a handler should: leaves errno as it found it. Whatever thread-locals it sees must be whole ones. */
static void on_signal(int number) {
    int saved = errno;
    if (magic != MAGIC) strange++;
    hits++;
    handled++;
    errno = 1000 + number;
    if (write(-1, "", 1) == 0 || errno != EBADF) strange++;
    errno = saved;
}

int ec_signals_begin(int number) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    return sigaction(number, &action, NULL);
}

long ec_signals_handled(void) { return handled; }
long ec_signals_strange(void) { return strange; }
long ec_signals_hits(void) { return hits; }

/* raise and pthread_kill to oneself return after the handler has run, here: both must have been counted here. */
int ec_signals_self(int number) {
    long before = hits;
    if (raise(number) != 0 || hits <= before) return 0;
    before = hits;
    return pthread_kill(pthread_self(), number) == 0 && hits > before;
}

/* errno through a stretch of work that signals interrupt. */
int ec_errno_through(int value, long rounds) {
    volatile long work = 0;
    errno = value;
    for (long i = 0; i < rounds; i++) {
        work += i;
        if (errno != value) return 0;
    }
    return 1;
}

/* --- The library with the signal stack. */

#define STACK_SIZE (64 * 1024)
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* What was a signal stack stays mapped without access: it cannot become anybody's memory, and whoever still
   uses it faults. */
static void retire(void *stack) {
    stack_t now, off = {.ss_flags = SS_DISABLE};
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == stack) sigaltstack(&off, NULL);
    if (mprotect(stack, STACK_SIZE, PROT_NONE) != 0) abort();
}

static void unmap(void *stack) {
    munmap(stack, STACK_SIZE);
}

static void make_key(void) {
    if (pthread_key_create(&key, getenv("EC_UNMAP_SIGNAL_STACK") ? unmap : retire) != 0) abort();
}

/* Gives the calling thread a signal stack until its end. */
void *ec_signal_stack_install(void) {
    pthread_once(&once, make_key);
    void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED) abort();
    stack_t new = {.ss_sp = stack, .ss_size = STACK_SIZE};
    if (sigaltstack(&new, NULL) != 0 || pthread_setspecific(key, stack) != 0) abort();
    return stack;
}

/* What the kernel holds for the signal stack of this OS thread, asked past libc; NULL if none. */
void *ec_signal_stack_of_kernel(void) {
    stack_t now;
    if (syscall(SYS_sigaltstack, NULL, &now) != 0) abort();
    return now.ss_flags & SS_DISABLE ? NULL : now.ss_sp;
}

/* Uses up the stack; frames that the compiler can neither drop nor turn into a loop. */
int ec_recurse(int depth) {
    volatile char frame[512];
    frame[depth % 512] = (char)depth;
    return ec_recurse(depth + 1) + frame[depth % 512];
}
