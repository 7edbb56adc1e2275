/* A module for dlopen, built several times: FIRST is its image's first word, WORDS its size, and the model of its
   thread-locals comes from the compiler's options. */
static __thread long words[WORDS] = {FIRST, FIRST + 1};
static __thread long zero;

int fresh(void) { return words[0] == FIRST && words[1] == FIRST + 1 && words[WORDS - 1] == 0 && zero == 0; }

void set(long value) { words[0] = words[1] = words[WORDS - 1] = zero = value; }

int have(long value) {
    return words[0] == value && words[1] == value && words[WORDS - 1] == value && zero == value;
}

long *address(void) { return &zero; }
