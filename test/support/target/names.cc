/* A C++ program with functions whose symbols are not their names: otherwise as calls.c. */
#define LIBRARY
extern "C" {
#include "calls.c"
}

namespace space {
struct shape {
  int side;
  __attribute__((noinline)) int area(int factor) {
    __asm__ volatile("");
    return side * side * factor;
  }
};
template <typename T> __attribute__((noinline)) T add(T a, T b) {
  __asm__ volatile("");
  return a + b;
}
} // namespace space

extern "C" ENTRY void _start() {
  space::shape square = {3};
  char byte;
  while (call3(READ, 0, (long)&byte, 1) == 1) {
    if (byte == 'a') sink = square.area(2);
    else if (byte == 'b') sink = space::add<long>(40, 2);
    else run(byte);
    call3(WRITE, 1, (long)&byte, 1);
  }
  call3(EXIT, 0, 0, 0);
}
