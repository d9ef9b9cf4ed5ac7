/*
 * A program for tests of tracing: needs no C library, and starts a command (argv[2], with the arguments behind it) in the
 * way that the letter in argv[1] says. What is about to become the command opens /dev/null first.
 */
#if defined(__x86_64__)
static inline __attribute__((always_inline)) long call4(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                   : "rcx", "r11", "memory");
  return result;
}
enum { OPENAT = 257, CLONE = 56, EXECVE = 59, EXIT = 60, EXIT_GROUP = 231, WAIT4 = 61, PPOLL = 271 };
/* A task that begins in a function, on a stack of its own. */
static long start(long flags, char *stack, void (*function)(void)) {
  long result;
  register long r10 __asm__("r10") = 0;
  register long r8 __asm__("r8") = 0;
  __asm__ volatile("syscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\tcall *%%rbx\n1:"
                   : "=a"(result)
                   : "a"(CLONE), "D"(flags), "S"(stack), "d"(0), "r"(r10), "r"(r8), "b"(function)
                   : "rcx", "r11", "memory");
  return result;
}
__asm__(".text\n.globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
#else
static inline __attribute__((always_inline)) long call4(long number, long a, long b, long c, long d) {
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d, x4 __asm__("x4") = 0;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}
enum { OPENAT = 56, CLONE = 220, EXECVE = 221, EXIT = 93, EXIT_GROUP = 94, WAIT4 = 260, PPOLL = 73 };
static long start(long flags, char *stack, void (*function)(void)) {
  register long x8 __asm__("x8") = CLONE, x0 __asm__("x0") = flags, x1 __asm__("x1") = (long)stack;
  register long x2 __asm__("x2") = 0, x3 __asm__("x3") = 0, x4 __asm__("x4") = 0;
  register void (*x9)(void) __asm__("x9") = function;
  __asm__ volatile("svc 0\n\tcbnz x0, 1f\n\tblr x9\n1:"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x9)
                   : "x30", "memory");
  return x0;
}
__asm__(".text\n.globl _start\n_start: mov x0, sp\nb begin\n");
#endif

enum { AT_FDCWD = -100, SIGCHLD = 17 };
enum { VM = 0x100, FS = 0x200, FILES = 0x400, SIGHAND = 0x800, VFORK = 0x4000, THREAD = 0x10000 };

static char stack[16384] __attribute__((aligned(16)));
static char **command;
static char *environment[] = {0};

static const volatile char null[] = "/dev/null";

static void become(void) {
  /* The kernel's programs read no page that nobody has touched. */
  (void)null[0];
  call4(OPENAT, AT_FDCWD, (long)null, 0, 0);
  call4(EXECVE, (long)command[0], (long)command, (long)environment, 0);
  call4(EXIT_GROUP, 127, 0, 0, 0);
}

static void wait_for(long pid) { call4(WAIT4, pid, 0, 0, 0); }

static void sleep_forever(void) {
  for (;;) call4(PPOLL, 0, 0, 0, 0);
}

/* A child by fork(): 0 in the child. */
static long fork(void) { return call4(CLONE, SIGCHLD, 0, 0, 0); }

__attribute__((used)) void begin(long *words) {
  char **arguments = (char **)(words + 1);
  command = arguments + 2;
  switch (arguments[1][0]) {
  case 'v': /* vfork(), as shells do */
  {
    long pid = call4(CLONE, VM | VFORK | SIGCHLD, 0, 0, 0);
    if (pid == 0) become();
    wait_for(pid);
    break;
  }
  case 's': /* posix_spawn(), as C libraries do */
    wait_for(start(VM | VFORK | SIGCHLD, stack + sizeof(stack), become));
    break;
  case 'g': /* a grandchild */
  {
    long pid = fork();
    if (pid == 0) {
      pid = fork();
      if (pid == 0) become();
      wait_for(pid);
      call4(EXIT_GROUP, 0, 0, 0, 0);
    }
    wait_for(pid);
    break;
  }
  case 't': /* a child's second thread, in which the first one ends */
  {
    long pid = fork();
    if (pid == 0) {
      start(VM | FS | FILES | SIGHAND | THREAD, stack + sizeof(stack), become);
      sleep_forever();
    }
    wait_for(pid);
    break;
  }
  }
  call4(EXIT_GROUP, 0, 0, 0, 0);
}
