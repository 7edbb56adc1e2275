/* Mutexes that know their owner. Trying only: whoever blocked would hold up the worker that the owner needs. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { RECURSIVE, ERROR_CHECKING, ROBUST, INHERITING };

pthread_mutex_t *ec_mutex_new(int kind) {
    pthread_mutexattr_t how;
    pthread_mutex_t *mutex = malloc(sizeof *mutex);
    pthread_mutexattr_init(&how);
    switch (kind) {
    case RECURSIVE: pthread_mutexattr_settype(&how, PTHREAD_MUTEX_RECURSIVE); break;
    case ERROR_CHECKING: pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ERRORCHECK); break;
    case ROBUST: pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST); break;
    case INHERITING: pthread_mutexattr_setprotocol(&how, PTHREAD_PRIO_INHERIT); break;
    }
    int error = pthread_mutex_init(mutex, &how);
    pthread_mutexattr_destroy(&how);
    if (error == 0) return mutex;
    free(mutex);
    return NULL;
}

int ec_mutex_lock(pthread_mutex_t *mutex) { return pthread_mutex_lock(mutex); }
int ec_mutex_trylock(pthread_mutex_t *mutex) { return pthread_mutex_trylock(mutex); }
int ec_mutex_unlock(pthread_mutex_t *mutex) { return pthread_mutex_unlock(mutex); }

pthread_rwlock_t *ec_rwlock_new(void) {
    pthread_rwlock_t *lock = malloc(sizeof *lock);
    pthread_rwlock_init(lock, NULL);
    return lock;
}

int ec_rwlock_trywrlock(pthread_rwlock_t *lock) { return pthread_rwlock_trywrlock(lock); }
int ec_rwlock_rdlock(pthread_rwlock_t *lock) { return pthread_rwlock_rdlock(lock); }
int ec_rwlock_unlock(pthread_rwlock_t *lock) { return pthread_rwlock_unlock(lock); }
