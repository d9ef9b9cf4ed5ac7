/*
 * Functions whose machine code is of all kinds: constants of all sizes, jumps near and far, tables of jumps, vectors,
 * atomic operations, string operations, thread local variables. Only compiled, never run.
 */
typedef float vector __attribute__((vector_size(64)));
typedef unsigned char bytes __attribute__((vector_size(32)));

extern long outside(long);
__thread long here;
volatile long counter;
unsigned short half;
unsigned char table[4096];

long constants(long n) {
  half = 0x1234;
  table[1000] = 7;
  counter = 0x123456789abcdef;
  return n * 1000 + (n & 0xff00) + (n << 3) - n / 10;
}
vector vectors(vector a, vector b) { return a * b + a; }
bytes shuffled(bytes a, bytes b) { return (a ^ b) + (bytes){1, 2, 3}; }
double mixed(double a, float b, long c) { return a * b + c / 3.5; }
long atomic(long *at) {
  __atomic_fetch_add(at, 3, __ATOMIC_SEQ_CST);
  return __atomic_exchange_n(at, 5, __ATOMIC_SEQ_CST) + __sync_val_compare_and_swap(at, 5, 6);
}
long local(void) { return ++here + outside(3); }
void copied(char *to, const char *from, unsigned long count) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}
long chosen(int way, long value) {
  switch (way) {
  case 0: return outside(value);
  case 1: return value * 3;
  case 2: counter = value; return 1;
  case 3: return constants(value) + atomic(&value);
  case 4: __builtin_trap();
  case 5: value = outside(outside(value)); break;
  case 6: return (long)mixed(value, 2, 3);
  case 7: here = value; break;
  }
  for (long i = 0; i < value; i++) {
    table[i & 4095] ^= (unsigned char)(i % 7);
    if (table[i & 255] == 200) return i;
    half += table[i & 15] > 3 ? (unsigned short)i : 0x8001;
  }
  return value;
}
