/* Processes and threads made by C: fork, popen, system, pthread_create. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int ec_locals_fresh(void);
void ec_locals_set(long value);
int ec_locals_have(long value);

/* What a shell said through popen. */
long ec_popen_number(long number) {
    char command[64], answer[64] = "";
    snprintf(command, sizeof command, "echo %ld", number);
    FILE *pipe = popen(command, "r");
    if (!pipe || !fgets(answer, sizeof answer, pipe)) answer[0] = 0;
    if (!pipe || pclose(pipe) != 0) return -1;
    return atol(answer);
}

int ec_system_code(int code) {
    char command[64];
    snprintf(command, sizeof command, "exit %d", code);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void *thread(void *argument) {
    long number = (long)(intptr_t)argument;
    if (!ec_locals_fresh()) return (void *)-1;
    ec_locals_set(number);
    sched_yield();
    return (void *)(intptr_t)(ec_locals_have(number) ? number : -2);
}

/* A thread made and joined by C, over whatever the callback does in between. */
long ec_thread_over(long number, void (*between)(void)) {
    pthread_t other;
    void *result = NULL;
    if (pthread_create(&other, NULL, thread, (void *)(intptr_t)number) != 0) return -3;
    between();
    if (pthread_equal(other, pthread_self()) || pthread_join(other, &result) != 0) return -4;
    return (long)(intptr_t)result;
}

/* Made here, joined by whoever takes it. */
int ec_thread_start(pthread_t *other, long number) {
    return pthread_create(other, NULL, thread, (void *)(intptr_t)number);
}
long ec_thread_join(pthread_t other) {
    void *result = NULL;
    if (pthread_join(other, &result) != 0) return -4;
    return (long)(intptr_t)result;
}

uintptr_t ec_pthread_self(void) { return (uintptr_t)pthread_self(); }

/* --- Calls about the calling thread by its pthread_t: 0 or an error number. */

int ec_set_affinity_of_self(void) {
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) return -1;
    return pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
}
int ec_get_affinity_of_self(void) {
    cpu_set_t cpus;
    return pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus);
}
int ec_get_attributes_of_self(void) {
    pthread_attr_t attributes;
    int error = pthread_getattr_np(pthread_self(), &attributes);
    if (error == 0) pthread_attr_destroy(&attributes);
    return error;
}
int ec_get_scheduling_of_self(void) {
    int policy;
    struct sched_param parameters;
    return pthread_getschedparam(pthread_self(), &policy, &parameters);
}
int ec_get_clock_of_self(void) {
    clockid_t clock;
    struct timespec now;
    int error = pthread_getcpuclockid(pthread_self(), &clock);
    return error != 0 ? error : clock_gettime(clock, &now) != 0 ? -1 : 0;
}
int ec_set_name_of_self(void) { return pthread_setname_np(pthread_self(), "hostile"); }
