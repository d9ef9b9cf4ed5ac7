/*
 * A program with static probes, whose notes are written out here as sys/sdt.h has them: for each byte it reads it passes
 * some of them, and writes the byte back.
 */
#define LIBRARY
#include "calls.c"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
/* A probe of two words: provider, name; the arguments' places as text; and its counter, or 0. */
#define PROBE(provider, name, counter, places, ...)                                                                    \
  __asm__ volatile("990: nop\n"                                                                                      \
                   ".pushsection .note.stapsdt,\"\",\"note\"\n"                                                        \
                   ".balign 4\n.4byte 992f-991f, 994f-993f, 3\n"                                                     \
                   "991: .asciz \"stapsdt\"\n992: .balign 4\n"                                                       \
                   "993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte " TEXT(counter) "\n"                             \
                   ".asciz \"" provider "\"\n.asciz \"" name "\"\n.asciz \"" places "\"\n"                           \
                   "994: .balign 4\n.popsection\n"                                                                   \
                   ".ifndef _.stapsdt.base\n"                                                                        \
                   ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"                             \
                   ".weak _.stapsdt.base\n.hidden _.stapsdt.base\n_.stapsdt.base: .space 1\n"                        \
                   ".size _.stapsdt.base, 1\n.popsection\n.endif\n" ::__VA_ARGS__)

#if defined(__x86_64__)
#define KEPT "ebx"
#define KEPT_PLACE "-4@%%ebx"
#define POINTER "rsi"
#define POINTER_PLACE "-4@(%%rsi)"
#define ONE "8@$1"
#define TWO "8@$2"
#else
#define KEPT "w9"
#define KEPT_PLACE "-4@w9"
#define POINTER "x10"
#define POINTER_PLACE "-4@[x10]"
#define ONE "8@1"
#define TWO "8@2"
#endif

__attribute__((section(".probes"), used)) unsigned short counted_semaphore;
__attribute__((section(".probes"), used)) unsigned short both_semaphore;
__attribute__((used, visibility("hidden"))) int global_numbers[4] = {-5, 6, 7, 8};

struct pair {
  int number;
  const char *text;
};

static __attribute__((noinline)) void forms(long number, struct pair *pair, signed char small) {
  int numbers[3] = {10, -20, 30};
  long index = 1;
#if defined(__x86_64__)
  register signed char low __asm__("al") = small;
  PROBE("app", "forms", 0,
        "8@%%rdi -4@(%%rsi) 8@8(%%rsi) -1@%%al -4@$-7 -4@(%%rdx,%%rcx,4) -4@global_numbers+4(%%rip) 2@%%r8w 4@%%xmm0",
        "D"(number), "S"(pair), "r"(low), "d"(numbers), "c"(index));
#else
  register long x0 __asm__("x0") = number;
  register struct pair *x1 __asm__("x1") = pair;
  register int w2 __asm__("w2") = small;
  register int *x3 __asm__("x3") = numbers;
  register long x4 __asm__("x4") = index;
  PROBE("app", "forms", 0, "8@x0 -4@[x1] 8@[x1, 8] -1@w2 -4@-7 -4@[x3, x4, lsl 2]", "r"(x0), "r"(x1), "r"(w2),
        "r"(x3), "r"(x4));
#endif
}

static __attribute__((noinline)) void counted(int number) {
  register int kept __asm__(KEPT) = number;
  PROBE("app", "counted", counted_semaphore, KEPT_PLACE, "r"(kept));
}

/* One probe at two places that keep its argument differently. */
static __attribute__((noinline)) void both_first(int number) {
  register int kept __asm__(KEPT) = number;
  PROBE("app", "both", both_semaphore, KEPT_PLACE " " ONE, "r"(kept));
}
static __attribute__((noinline)) void both_second(int number) {
  volatile int memory[1] = {number};
  register volatile int *kept __asm__(POINTER) = memory;
  PROBE("app", "both", both_semaphore, POINTER_PLACE " " TWO, "r"(kept));
}

static __attribute__((noinline)) void other(int number) {
  register int kept __asm__(KEPT) = number;
  PROBE("lib", "counted", 0, KEPT_PLACE, "r"(kept));
}

void act(char command) {
  char text[] = "a text";
  struct pair pair;
  pair.number = -3;
  pair.text = text;
  switch (command) {
  case 'f': forms(1L << 40, &pair, -2); break;
  case 'c': if (*(volatile unsigned short *)&counted_semaphore > 0) counted(77); break;
  case 'b': both_first(100); both_second(200); break;
  case 'o': other(5); break;
  default: run(command);
  }
}

ENTRY void _start(void) {
  char byte;
  while (call3(READ, 0, (long)&byte, 1) == 1) {
    act(byte);
    call3(WRITE, 1, (long)&byte, 1);
  }
  call3(EXIT, 0, 0, 0);
}
