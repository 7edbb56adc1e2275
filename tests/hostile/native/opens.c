/* A library whose constructor opens another one, as loaders of plugins and drivers do. */
#include <dlfcn.h>

static void *inner;

__attribute__((constructor)) static void open_inner(void) { inner = dlopen(INNER, RTLD_NOW); }

int opened(void) { return inner != 0; }
