/* A program in C that runs a Rust library's tasks: `embedder PATH` loads it with dlopen, first while the program has one
   thread, then once more from another thread. Built with -DLINKED it is linked to the library instead. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef int Call(void);

#ifdef LINKED
int embedded_run(void);
int embedded_expected(void);
int embedded_migrates(void);
#endif

static Call *run, *expected, *migrates;
static __thread int own = 5;

static void *work(void *unused) {
    (void)unused;
    own++;
    for (int i = 0; i < 3; i++) {
        int right = run();
        if (right != expected()) {
            printf("FAILED: of %d tasks %d were right\n", expected(), right);
            exit(1);
        }
    }
    if (own != 6) {
        puts("FAILED: the program's own thread-locals have changed");
        exit(1);
    }
    return NULL;
}

int main(int count, char **arguments) {
#ifdef LINKED
    (void)count, (void)arguments;
    run = embedded_run, expected = embedded_expected, migrates = embedded_migrates;
    int may_migrate = 1;
#else
    if (count != 2) return 2;
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        printf("FAILED: %s\n", dlerror());
        return 1;
    }
    run = (Call *)dlsym(library, "embedded_run");
    expected = (Call *)dlsym(library, "embedded_expected");
    migrates = (Call *)dlsym(library, "embedded_migrates");
    int may_migrate = 0;
#endif
    work(NULL);
    pthread_t other;
    if (pthread_create(&other, NULL, work, NULL) != 0 || pthread_join(other, NULL) != 0) return 1;
    int do_migrate = migrates();
    if (do_migrate && !may_migrate) {
        puts("FAILED: tasks migrate, although libc's functions are not the library's");
        return 1;
    }
    printf("ok: %d tasks, three times on each of two threads; %s\n", expected(),
           do_migrate ? "they migrate" : "each is a thread");
    return 0;
}
