/* What libc itself keeps for each thread: locale, character tables, buffers, conversions, allocations. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <iconv.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

locale_t ec_locale_new(const char *name) { return newlocale(LC_ALL_MASK, name, (locale_t)0); }
locale_t ec_locale_use(locale_t locale) { return uselocale(locale); }
void ec_locale_free(locale_t locale) { freelocale(locale); }
int ec_locale_is_global(void) { return uselocale((locale_t)0) == LC_GLOBAL_LOCALE; }

/* What this thread's locale makes of things: the character tables of libc are thread-locals of their own. The
   compiler must not know the answers, hence the volatiles. */
int ec_upper(int c) {
    volatile int character = c;
    return toupper(character);
}
int ec_is_alpha(int c) {
    volatile int character = c;
    return isalpha(character) != 0;
}
double ec_number(const char *text) { return strtod(text, NULL); }
int ec_is_codeset(const char *name) { return strcmp(nl_langinfo(CODESET), name) == 0; }
int ec_wide_upper(int c) { return (int)towupper((wint_t)c); }
int ec_bytes_per_character(void) { return (int)MB_CUR_MAX; }

int ec_describe(int error, char *buffer, size_t size) {
    const char *text = strerror_r(error, buffer, size); /* GNU's: may return a text of its own */
    if (text != buffer) {
        strncpy(buffer, text, size - 1);
        buffer[size - 1] = 0;
    }
    return 0;
}

/* Texts that libc keeps for each thread until its next call of the kind. */
const char *ec_text_of_error(int error) { return strerror(error); }
const char *ec_text_of_signal(int signal) { return strsignal(signal); }
const char *ec_text_of_address(unsigned address) {
    struct in_addr in = {.s_addr = htonl(address)};
    return inet_ntoa(in);
}
int ec_text_is(const char *text, const char *expected) { return text && strcmp(text, expected) == 0; }

/* An error of dlopen's, fetched after the callback. */
int ec_dlerror_after(const char *name, void (*callback)(void)) {
    if (dlopen(name, RTLD_NOW)) return 0;
    callback();
    const char *text = dlerror();
    return text && strstr(text, name) && !dlerror();
}

void *ec_iconv_open(void) { return iconv_open("UTF-16LE", "ISO-8859-15"); }
int ec_iconv_byte(void *handle, unsigned char byte) {
    char in = (char)byte, *from = &in;
    unsigned char out[4] = {0};
    char *to = (char *)out;
    size_t in_left = 1, out_left = sizeof out;
    if (iconv((iconv_t)handle, &from, &in_left, &to, &out_left) == (size_t)-1) return -1;
    return out[0] | out[1] << 8;
}
int ec_iconv_close(void *handle) { return iconv_close((iconv_t)handle); }

/* Blocks of memory with a pattern, so that one that was given out twice shows. */
unsigned char *ec_block_new(size_t size, unsigned char pattern) {
    unsigned char *block = malloc(size);
    memset(block, pattern, size);
    return block;
}
unsigned char *ec_block_grow(unsigned char *block, size_t size, size_t to, unsigned char pattern) {
    block = realloc(block, to);
    if (to > size) memset(block + size, pattern, to - size);
    return block;
}
int ec_block_end(unsigned char *block, size_t size, unsigned char pattern) {
    int right = 1;
    for (size_t i = 0; i < size; i++) right &= block[i] == pattern;
    free(block);
    return right;
}
