/*
 * A program for tests of probes: needs no C library, calls a function for each byte it reads, and writes the byte back
 * when the function has returned.
 */
#if defined(__x86_64__)
static long call3(long number, long a, long b, long c) {
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}
enum { READ = 0, WRITE = 1, EXIT = 60 };
/* The kernel aligns the stack as if nothing had been called. */
#define ENTRY __attribute__((force_align_arg_pointer))
#else
static long call3(long number, long a, long b, long c) {
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
}
enum { READ = 63, WRITE = 64, EXIT = 93 };
#define ENTRY
#endif

volatile long sink;
volatile const char *volatile text_sink;

__attribute__((noinline)) int twice(int number) {
  __asm__ volatile("");
  return number * 2;
}
__attribute__((noinline)) long sum_of(long first, int second) {
  __asm__ volatile("");
  return first + second;
}
__attribute__((noinline)) long many(int a, int b, int c, int d, int e, int f, int g, long h, const char *i, int j) {
  text_sink = i;
  return a + b + c + d + e + f + g + h + j;
}
__attribute__((noinline)) int greet(const char *name) {
  text_sink = name;
  return 0;
}
static __attribute__((noinline)) int hidden(int number) {
  __asm__ volatile("");
  return number + 1;
}
static long chosen(long number) { return number; }
static __attribute__((used)) void *choose(void) { return (void *)chosen; }
__asm__(".globl picked\n.type picked, %gnu_indirect_function\n.set picked, choose");

#ifdef GO
/* What tells a Go program. */
__attribute__((section(".go.buildinfo"), used)) static const char build_info[32] = "\xff Go buildinf:";
#endif
#ifdef DEBUG_LINK
/* The name of the file with the symbols, and a checksum, which nobody compares. */
__asm__(".section .gnu_debuglink,\"\",@progbits\n.asciz \"" DEBUG_LINK "\"\n.balign 4\n.long 0\n.text");
#endif
#if defined(__x86_64__)
/* A function that begins with an instruction that the kernel does not probe. */
__asm__(".text\n.globl refused\n.type refused, @function\nrefused: int3\nret\n.size refused, .-refused");
#else
__asm__(".text\n.globl refused\n.type refused, %function\nrefused: brk #0\nret\n.size refused, .-refused");
#endif

void run(char command) {
  switch (command) {
  case 't': sink = twice(21); break;
  case 'L': for (int i = 0; i < 100000; i++) sink = twice(i); break;
  case 's': sink = sum_of(40, 2); break;
  case 'm': sink = many(1, 2, 3, 4, 5, 6, 7, 8L << 40, "ninth", -10); break;
  case 'g': sink = greet("the reader"); break;
  case 'h': sink = hidden(1); break;
  }
}

#ifndef LIBRARY
ENTRY void _start(void) {
  char byte;
  while (call3(READ, 0, (long)&byte, 1) == 1) {
    run(byte);
    call3(WRITE, 1, (long)&byte, 1);
  }
  call3(EXIT, 0, 0, 0);
}
#endif
