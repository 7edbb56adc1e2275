/* Thread-locals of a C library: variables with an initial value, without one, aligned, and pthread keys. */
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#define WORDS 32
#define FIRST 0x5ec0de

static _Thread_local long initialised = FIRST;
static __thread long zero;
static _Thread_local _Alignas(256) long aligned[WORDS] = {1, 2, 3};

/* Are all as a new thread finds them? */
int ec_locals_fresh(void) {
    if (initialised != FIRST || zero != 0 || (uintptr_t)aligned % 256 != 0) return 0;
    for (long i = 0; i < WORDS; i++)
        if (aligned[i] != (i < 3 ? i + 1 : 0)) return 0;
    return 1;
}

void ec_locals_set(long value) {
    initialised = value;
    zero = -value;
    for (long i = 0; i < WORDS; i++) aligned[i] = value + i;
}

/* Do all have what `ec_locals_set(value)` gave them? */
int ec_locals_have(long value) {
    if (initialised != value || zero != -value) return 0;
    for (long i = 0; i < WORDS; i++)
        if (aligned[i] != value + i) return 0;
    return 1;
}

long *ec_locals_address(void) { return &zero; }

/* --- Keys. A destructor is the Rust function that the check hands over. */

int ec_key_create(pthread_key_t *key, void (*destructor)(void *)) { return pthread_key_create(key, destructor); }
int ec_key_delete(pthread_key_t key) { return pthread_key_delete(key); }
int ec_key_set(pthread_key_t key, void *value) { return pthread_setspecific(key, value); }
void *ec_key_get(pthread_key_t key) { return pthread_getspecific(key); }

/* The same by their C11 names. */
int ec_tss_create(tss_t *key, void (*destructor)(void *)) { return tss_create(key, destructor) == thrd_success; }
void ec_tss_delete(tss_t key) { tss_delete(key); }
int ec_tss_set(tss_t key, void *value) { return tss_set(key, value) == thrd_success; }
void *ec_tss_get(tss_t key) { return tss_get(key); }
